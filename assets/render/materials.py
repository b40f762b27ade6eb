"""Procedural materials of the synthetic heads (Blender shader nodes). Needs `bpy`.

Every texture uses the vertex attribute `rest`, the mean head's position in Blender units, so that
it sticks to the skin under expression and lies alike on all identities. Mesh attributes read here
(set by scene.py): `rest`, `m_<mask>` (`m_face` where another's face is worn), `eye` (x, y offset
from the eye's axis), `lash` (s, t, a).
"""

from __future__ import annotations

import bpy
import numpy as np


def linear(hex_color: str) -> tuple[float, float, float, float]:
    """sRGB "rrggbb" -> linear RGBA in [0, 1] (IEC 61966-2-1)."""
    c = np.array([int(hex_color[i:i + 2], 16) for i in (0, 2, 4)]) / 255
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return (*c.tolist(), 1.0)


class Graph:
    """A material's node tree, written as expressions: every method returns an output socket.

    Arguments may be sockets or constants (float, vector or RGBA tuple).
    """

    def __init__(self, name: str):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()

    def put(self, socket, value) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def node(self, kind: str, inputs: dict | None = None, **properties):
        n = self.tree.nodes.new("ShaderNode" + kind)
        for key, value in properties.items():
            setattr(n, key, value)
        for key, value in (inputs or {}).items():
            self.put(n.inputs[key], value)
        return n

    def attribute(self, name: str, output: str = "Fac"):
        return self.node("Attribute", attribute_name=name).outputs[output]

    def math(self, operation: str, a, b=0.0, clamp: bool = False):
        return self.node("Math", {0: a, 1: b}, operation=operation, use_clamp=clamp).outputs[0]

    def mul(self, a, b):
        return self.math("MULTIPLY", a, b)

    def add(self, a, b):
        return self.math("ADD", a, b)

    def step(self, x, low: float, high: float):
        """Smoothstep from 0 at `low` to 1 at `high` (low > high falls)."""
        up = self.node("MapRange", {"Value": x, "From Min": min(low, high),
                                    "From Max": max(low, high)},
                       interpolation_type="SMOOTHSTEP").outputs[0]
        return up if low < high else self.math("SUBTRACT", 1.0, up)

    def span(self, x, low: float, high: float):
        """x in [0, 1] -> [low, high], linear."""
        return self.node("MapRange", {"Value": x, "To Min": low, "To Max": high}).outputs[0]

    def mix(self, a, b, factor):
        """Colors: a at factor 0, b at factor 1."""
        n = self.node("Mix", data_type="RGBA", clamp_factor=True)
        for index, value in ((0, factor), (6, a), (7, b)):
            self.put(n.inputs[index], value)
        return n.outputs[2]

    def scaled(self, color, factor):
        """Color times a scalar."""
        return self.node("VectorMath", {0: color, "Scale": factor}, operation="SCALE").outputs[0]

    def noise(self, vector, scale: float):
        return self.node("TexNoise", {"Vector": vector, "Scale": scale}).outputs["Fac"]

    def voronoi(self, vector, scale: float):
        return self.node("TexVoronoi", {"Vector": vector, "Scale": scale}).outputs["Distance"]

    def bump(self, height, strength: float, distance: float):
        return self.node("Bump", {"Height": height, "Strength": strength,
                                  "Distance": distance}).outputs[0]

    def principled(self, inputs: dict):
        return self.node("BsdfPrincipled", inputs).outputs[0]

    def clear_gloss(self, ior: float, roughness: float):
        """Transparent with a Fresnel-weighted glossy layer: cornea, tear film."""
        gloss = self.node("BsdfGlossy", {"Roughness": roughness}).outputs[0]
        clear = self.node("BsdfTransparent").outputs[0]
        return self.mix_shader(clear, gloss, self.node("Fresnel", {"IOR": ior}).outputs[0])

    def mix_shader(self, a, b, factor):
        return self.node("MixShader", {0: factor, 1: a, 2: b}).outputs[0]

    def finish(self, shader):
        self.node("OutputMaterial", {"Surface": shader})
        return self.material


def _skin_color(g: Graph, look: dict, rest, lips):
    """Base color of the skin with one look; lips: weight of the lips' own color."""
    def mask(name):
        return g.attribute("m_" + name)

    red = linear(look["red"])
    c = g.mix(linear(look["tone"]), linear(look["tone2"]), g.step(g.noise(rest, 2.2), 0.35, 0.65))
    c = g.mix(c, red, g.mul(g.step(g.noise(rest, 9), 0.45, 0.70), look.get("mottle", 0.25)))
    for name, weight in look["redmask"].items():
        c = g.mix(c, red, g.mul(mask(name), weight))
    lid = linear(look["lid"])
    c = g.mix(c, lid, g.mul(mask("lid"), look.get("lidw", 0.35)))
    c = g.mix(c, lid, g.mul(mask("under"), 0.25))
    dark = linear(look["dark"])
    c = g.mix(c, dark, g.mul(g.step(g.noise(rest, 45), 0.55, 0.75), 0.12))
    if look.get("freckles"):
        spots = g.mul(g.step(g.voronoi(rest, 16), 0.16, 0.10),
                      g.step(g.noise(rest, 5), 0.45, 0.60))
        where = g.math("ADD", mask("cheek"), mask("nose"), clamp=True)
        c = g.mix(c, dark, g.mul(g.mul(spots, where), look["freckles"]))
    if look.get("beard"):
        shadow = g.mul(mask("beard"), g.math("ADD", g.noise(rest, 60), 0.40, clamp=True))
        c = g.mix(c, linear(look["beardcol"]), g.mul(shadow, look["beard"]))
    lip = g.mix(linear(look["lip"]), linear(look["lip2"]), g.noise(rest, 28))
    c = g.mix(c, lip, g.mul(lips, look["lipw"]))
    paint = linear(look["hairpaint"])
    c = g.mix(c, paint, g.mul(mask("browz"), look["browpaint"]))
    scalp = g.mul(mask("scalp_" + look["hairkind"]),
                  g.math("ADD", g.noise(rest, 40), 0.40, clamp=True))
    return g.mix(c, paint, g.mul(scalp, 0.9))


def skin(look: dict, lips_mask: str):
    """Skin with subsurface scattering; `lips_mask` is a gray picture in face UV. An entry "face"
    of the look is the look inside the mask `face`."""
    g = Graph("skin")
    rest = g.attribute("rest", "Vector")

    def mask(name):
        return g.attribute("m_" + name)

    image = bpy.data.images.load(lips_mask, check_existing=True)
    image.colorspace_settings.name = "Non-Color"
    uv = g.node("UVMap", uv_map="UVMap").outputs[0]
    # CLIP: only the tile u in [0, 1] is the face; neck and ears lie in further tiles.
    lips = g.node("TexImage", {"Vector": uv}, image=image, extension="CLIP").outputs[0]

    c = _skin_color(g, look, rest, lips)
    if "face" in look:
        c = g.mix(c, _skin_color(g, look["face"], rest, lips), mask("face"))

    rough = g.span(g.noise(rest, 45), look.get("r0", 0.40), look.get("r1", 0.56))
    rough = g.math("SUBTRACT", rough, g.mul(lips, 0.10))
    rough = g.math("SUBTRACT", rough, g.mul(mask("nose"), 0.06))
    squeezed = g.node("Mapping", {"Vector": rest, "Scale": (1, 1, 0.12)}).outputs[0]
    height = g.add(g.mul(g.voronoi(rest, 70), 0.5), g.mul(g.noise(rest, 26), 0.9))
    height = g.add(height, g.mul(g.mul(g.noise(squeezed, 70), lips), 1.6))
    return g.finish(g.principled({
        "Base Color": c, "Roughness": rough, "Specular IOR Level": look.get("spec", 0.42),
        "Subsurface Weight": 1.0, "Subsurface Scale": look.get("sssscale", 0.035),
        "Subsurface Radius": (1.0, 0.32, 0.16), "Normal": g.bump(height, 0.22, 0.012)}))


def strands(name: str, hex_color: str):
    """Hair, brows, stubble. Principled: the hair shader turned gray at silhouettes."""
    g = Graph(name)
    info = g.node("HairInfo")
    c = g.scaled(linear(hex_color)[:3], g.span(info.outputs["Random"], 0.65, 1.55))
    c = g.mix(c, g.scaled(c, 2.1), g.mul(info.outputs["Intercept"], 0.35))
    return g.finish(g.principled({"Base Color": c, "Roughness": 0.6, "Specular IOR Level": 0.10}))


def _eye_radius(g: Graph):
    offset = g.attribute("eye", "Vector")
    return g.node("VectorMath", {0: offset}, operation="LENGTH").outputs["Value"], offset


def sclera():
    """White of the eye; clear glossy cornea where r < .055 units from the eye's axis."""
    g = Graph("sclera")
    r, _ = _eye_radius(g)
    rest = g.attribute("rest", "Vector")
    vein = g.mul(g.step(g.noise(rest, 55), 0.52, 0.62), g.step(r, 0.075, 0.11))
    c = g.mix(linear("e6e0da"), linear("b5605a"), g.mul(vein, 0.30))
    c = g.mix(c, linear("b5605a"), g.mul(g.step(r, 0.09, 0.15), 0.45))
    white = g.principled({"Base Color": c, "Roughness": 0.3, "Coat Weight": 0.6,
                          "Coat Roughness": 0.05, "Subsurface Weight": 0.5,
                          "Subsurface Scale": 0.02, "Subsurface Radius": (1.0, 0.32, 0.16)})
    return g.finish(g.mix_shader(g.clear_gloss(1.42, 0.02), white, g.step(r, 0.055, 0.0625)))


def iris(look: dict):
    """Iris with collarette, limbal ring and pupil, by the distance r from the eye's axis."""
    g = Graph("iris")
    r, offset = _eye_radius(g)
    unit = g.node("VectorMath", {0: offset}, operation="NORMALIZE").outputs[0]
    xyz = g.node("SeparateXYZ", {0: unit})
    polar = g.node("CombineXYZ", {0: xyz.outputs[0], 1: xyz.outputs[1],
                                  2: g.mul(r, 3.0)}).outputs[0]
    c = g.mix(linear(look["iris"]), linear(look["iris2"]), g.step(g.noise(polar, 9), 0.35, 0.65))
    c = g.mix(c, linear(look["iris3"]), g.step(r, 0.034, 0.022))
    c = g.mix(c, linear("15110e"), g.mul(g.step(r, 0.047, 0.0585), 0.85))
    c = g.mix(c, (0.002, 0.002, 0.002, 1), g.step(r, 0.0205, 0.0185))
    return g.finish(g.principled({"Base Color": c, "Roughness": 0.5,
                                  "Specular IOR Level": 0.2}))


def tear_film():
    g = Graph("tear film")
    return g.finish(g.clear_gloss(1.33, 0.05))


def lens():
    """Of glasses: clear, a little glossy."""
    g = Graph("lens")
    return g.finish(g.clear_gloss(1.5, 0.01))


def wet(name: str, hex_color: str, roughness: float, coat: float, subsurface: float):
    """Teeth, gums, mouth and eye sockets."""
    g = Graph(name)
    return g.finish(g.principled({
        "Base Color": linear(hex_color), "Roughness": roughness, "Coat Weight": coat,
        "Subsurface Weight": subsurface, "Subsurface Scale": 0.03,
        "Subsurface Radius": (1.0, 0.32, 0.16)}))


def lashes():
    """Cards cut into hairs: opaque where |frac(34 s) - .5| < .34 (1.05 - t), opacity .9 a."""
    g = Graph("lashes")
    s, t, a = g.node("SeparateXYZ", {0: g.attribute("lash", "Vector")}).outputs
    u = g.math("FRACT", g.mul(s, 34.0))
    off = g.math("ABSOLUTE", g.math("SUBTRACT", u, 0.5))
    hair = g.math("LESS_THAN", off, g.mul(g.math("SUBTRACT", 1.05, t), 0.34))
    dark = g.principled({"Base Color": linear("140e0a"), "Roughness": 0.6,
                         "Specular IOR Level": 0.1})
    clear = g.node("BsdfTransparent").outputs[0]
    return g.finish(g.mix_shader(clear, dark, g.mul(hair, g.mul(a, 0.9))))


def cloth(hex_color: str):
    g = Graph("cloth")
    position = g.node("TexCoord").outputs["Object"]
    weave = g.noise(position, 60)
    c = linear(hex_color)
    return g.finish(g.principled({
        "Base Color": g.mix(g.scaled(c[:3], 0.75), c, weave), "Roughness": 0.9,
        "Specular IOR Level": 0.15, "Sheen Weight": 0.15,
        "Normal": g.bump(weave, 0.25, 0.02)}))
