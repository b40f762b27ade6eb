"""A synthetic head as a Blender scene: meshes, hair, shirt, lights, camera, picture. Needs `bpy`.

Blender units (1 = 10 cm), z up, the face looks to -y. One `Studio` holds one identity; between
pictures only what an expression moves, the camera and the room are set anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy  # first: it makes bmesh and mathutils importable

# isort: split
import accessories
import bmesh
import materials
import numpy as np
from mathutils import Matrix, Vector
from pack import BLENDER_SCALE, HeadPack, to_blender
from shots import FOV_X

# Area lights aimed at LIGHT_TARGET, unseen by the camera: location, size, watts, linear color.
LIGHT_TARGET = (0.0, -0.3, 0.2)
LIGHTS = {
    "key": ((2.6, -4.2, 2.6), 2.2, 260, (1, 0.955, 0.90)),
    "fill": ((-3.6, -3.4, 0.8), 3.0, 95, (0.90, 0.95, 1)),
    "back right": ((2.8, 3.2, 2.6), 1.8, 34, (1, 0.97, 0.93)),
    "back left": ((-2.8, 3.2, 2.2), 1.8, 28, (0.93, 0.96, 1)),
    "top": ((0, 0.3, 4.5), 2.5, 40, (1, 1, 1)),
    "under": ((0, -2.2, -2.6), 2.0, 18, (1, 1, 1)),
}
WORLD = ((0.75, 0.82, 0.92, 1), 0.30)  # color, strength

# Parts that are drawn; eyeblend and eyeocclusion are not.
PARTS = ("skin", "mouth", "socket", "gum", "teeth", "scl", "irl", "scr", "irr", "lac", "lash")
SMOOTHED = ("skin", "scl", "scr")  # one Catmull-Clark level
MASKS = ("cheek", "nose", "ear", "chin", "lid", "under", "browz", "beard", "scalp_A", "scalp_B")


@dataclass(frozen=True)
class Quality:
    """size: pixels of the square picture. spp: samples a pixel, 16-64. seed: of the sampler.
    fov_x: of the camera, radians."""

    size: int = 320
    spp: int = 32
    seed: int = 0
    fov_x: float = FOV_X


class Studio:
    """One identity of a head pack, ready to be photographed."""

    def __init__(self, pack: HeadPack, identity: str, quality: Quality):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.pack, self.identity, self.look = pack, identity, pack.look(identity)
        self.face_look = self.look.get("face", self.look)  # of eyes, brows and stubble
        self.scene = bpy.context.scene
        self._render_settings(quality)
        self.room = bpy.data.objects.new("room", None)  # lights hang on it
        self._link(self.room)
        self._lights()
        self.camera = self._camera(quality.fov_x)
        self._moving: list[tuple] = []  # (data block, function vertices -> positions (P, 3))
        vertices = pack.vertices(identity)
        for name in PARTS:
            self._part(name, vertices)
        self._hair(vertices)
        self._shirt(vertices)
        self._accessories: dict[str, list] = {}

    # -- what changes between pictures ---------------------------------------------------------

    def pose(self, weights: dict[str, float] | None) -> None:
        """Expression weights in [0, 1] by name; None: the resting face."""
        vertices = self.pack.vertices(self.identity, weights)
        for data, positions in self._moving:
            _set_positions(data, positions(vertices))

    def wear(self, names: tuple[str, ...]) -> None:
        """Put on these of `accessories.NAMES` and take off all others."""
        for name in names:
            if name not in self._accessories:
                make = {"glasses": self._glasses, "fringe": self._fringe}[name]
                self._accessories[name] = make(self.pack.vertices(self.identity))
        for name, objects in self._accessories.items():
            for obj in objects:
                obj.hide_render = name not in names

    def shoot(self, path: Path, c2w: np.ndarray, room: np.ndarray | None = None) -> None:
        """Render to `path` (RGBA PNG). c2w: camera-to-world; room: pose of the lights."""
        self.camera.matrix_world = Matrix(np.asarray(c2w, float).tolist())
        self.room.matrix_world = Matrix((np.eye(4) if room is None else room).tolist())
        self.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)

    # -- set-up --------------------------------------------------------------------------------

    def _link(self, obj) -> None:
        self.scene.collection.objects.link(obj)

    def _render_settings(self, q: Quality) -> None:
        s, r, c = self.scene, self.scene.render, self.scene.cycles
        r.engine = "CYCLES"
        r.resolution_x = r.resolution_y = q.size
        r.resolution_percentage = 100
        r.film_transparent = True
        r.use_persistent_data = True
        r.image_settings.file_format = "PNG"
        r.image_settings.color_mode = "RGBA"
        r.hair_subdiv = 2
        c.device = "CPU"
        c.samples, c.seed = q.spp, q.seed
        c.use_adaptive_sampling, c.adaptive_threshold = True, 0.02
        c.use_denoising, c.denoiser = True, "OPENIMAGEDENOISE"
        c.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        c.denoising_prefilter = "FAST"
        c.max_bounces, c.diffuse_bounces, c.glossy_bounces = 6, 2, 2
        c.transmission_bounces, c.transparent_max_bounces = 4, 8
        c.caustics_reflective = c.caustics_refractive = False
        c.sample_clamp_direct, c.sample_clamp_indirect = 8, 3
        s.cycles_curves.shape = "RIBBONS"
        s.cycles_curves.subdivisions = 2
        s.view_settings.view_transform = "AgX"
        s.view_settings.look = "AgX - Medium High Contrast"
        s.view_settings.exposure = 0.2

    def _lights(self) -> None:
        for name, (location, size, watts, color) in LIGHTS.items():
            light = bpy.data.lights.new(name, "AREA")
            light.size, light.energy, light.color = size, watts, color
            obj = bpy.data.objects.new(name, light)
            aim = Vector(LIGHT_TARGET) - Vector(location)
            obj.location = location
            obj.rotation_euler = aim.to_track_quat("-Z", "Y").to_euler()
            obj.visible_camera = False
            obj.parent = self.room
            self._link(obj)
        world = bpy.data.worlds.new("world")
        world.use_nodes = True
        background = world.node_tree.nodes["Background"]
        background.inputs[0].default_value, background.inputs[1].default_value = WORLD
        self.scene.world = world

    def _camera(self, fov_x: float):
        data = bpy.data.cameras.new("camera")
        data.sensor_fit, data.angle = "HORIZONTAL", fov_x
        obj = bpy.data.objects.new("camera", data)
        self._link(obj)
        self.scene.camera = obj
        return obj

    def _material(self, part: str):
        look = self.look
        if part == "skin":
            return materials.skin(look, str((self.pack.folder / "lips_mask.png").resolve()))
        make = {
            "mouth": lambda: materials.wet("mouth", "7a2f2c", 0.35, 0.0, 0.3),
            "socket": lambda: materials.wet("socket", "b4695c", 0.40, 0.0, 0.5),
            "gum": lambda: materials.wet("gum", "b0504c", 0.25, 0.4, 0.6),
            "teeth": lambda: materials.wet("teeth", "e9e1d0", 0.20, 0.5, 0.4),
            "scl": materials.sclera, "irl": lambda: materials.iris(self.face_look),
            "lac": materials.tear_film, "lash": materials.lashes}
        make["scr"], make["irr"] = make["scl"], make["irl"]
        return make[part]()

    def _part(self, name: str, vertices: np.ndarray) -> None:
        part = self.pack.part(name)
        ids = part.vertex_ids
        mesh = _mesh(name, to_blender(vertices[ids]), part.face_len, part.face_flat)
        layer = mesh.uv_layers.new(name="UVMap")
        layer.data.foreach_set("uv", part.uv.astype(np.float32).ravel())
        _attribute(mesh, "rest", "FLOAT_VECTOR", to_blender(self.pack.base[ids]))
        if name == "skin":
            for m in MASKS + (("face",) if "face" in self.look else ()):
                _attribute(mesh, "m_" + m, "FLOAT", self.pack.mask(m)[ids])
        if name in ("scl", "scr", "irl", "irr"):
            _attribute(mesh, "eye", "FLOAT_VECTOR", self._eye_offsets(name))
        if name == "lash":
            s = self.pack.strands("A")
            table = np.zeros((len(vertices), 3))
            table[s["lash_vertex_ids"]] = np.stack([s["lash_s"], s["lash_t"], s["lash_a"]], 1)
            _attribute(mesh, "lash", "FLOAT_VECTOR", table[ids])
        mesh.materials.append(self._material(name))
        obj = bpy.data.objects.new(name, mesh)
        if name in SMOOTHED:
            modifier = obj.modifiers.new("smooth", "SUBSURF")
            modifier.levels = modifier.render_levels = 1
        self._link(obj)
        self._moving.append((mesh, lambda v, ids=ids: to_blender(v[ids])))

    def _eye_offsets(self, part: str) -> np.ndarray:
        """(P, 3) offset (x, y, 0) from the eye's axis in Blender units, on the neutral head.

        The axis runs forward through the front-most vertex of the sclera. What lies more than
        .3 cm behind the sclera's mean is no longer front: it gets a distance of .2.
        """
        neutral = self.pack.neutral(self.identity)
        eye = neutral[self.pack.part("scl" if part.endswith("l") else "scr").vertex_ids]
        p = neutral[self.pack.part(part).vertex_ids]
        offset = (p - eye[eye[:, 2].argmax()]) * 0.1
        offset[:, 2] = 0
        offset[p[:, 2] < eye[:, 2].mean() - 0.3] = (0.2, 0, 0)
        return offset

    def _hair(self, vertices: np.ndarray) -> None:
        look, s, who = self.face_look, self.pack.strands(self.identity), self.identity
        hair = materials.strands("hair", self.look["haircol"])
        slick = self.look["hairkind"] == "A"
        self._curves("hair", to_blender(s["hair"]), 0.0033 if slick else 0.0042,
                     1.0 if slick else 0.45, hair)
        if "bun" in s:
            self._curves("bun", to_blender(s["bun"]), 0.0045, 1.0, hair)
        kinds = {"brow": (look.get("browrad", 0.0024), 0.30, look["browcol"]),
                 "stubble": (0.0028, 0.40, look["haircol"])}
        for kind, (radius, tip, color) in kinds.items():
            points = self.pack.attached(who, kind, vertices)
            if points is not None:
                data = self._curves(kind, to_blender(points), radius, tip,
                                    materials.strands(kind, color))
                self._moving.append((data, lambda v, kind=kind: to_blender(
                    self.pack.attached(who, kind, v)).reshape(-1, 3)))

    def _curves(self, name: str, points: np.ndarray, radius: float, tip: float, material):
        """points (S, K, 3) as hair curves, `radius` at the root, `tip` times that at the end."""
        count, k = points.shape[:2]
        data = bpy.data.hair_curves.new(name)
        data.add_curves([k] * count)
        _set_positions(data, points.reshape(-1, 3))
        radii = np.tile(radius * np.linspace(1.0, tip, k), count)
        attribute = data.attributes.get("radius") or data.attributes.new("radius", "FLOAT", "POINT")
        attribute.data.foreach_set("value", radii.astype(np.float32))
        data.materials.append(material)
        self._link(bpy.data.objects.new(name, data))
        return data

    def _fringe(self, vertices: np.ndarray) -> list:
        strands = accessories.fringe(self.pack, self.identity, vertices)
        self._curves("fringe", to_blender(strands), 0.0038, 0.4,
                     materials.strands("fringe", self.look["haircol"]))
        return [self.scene.objects["fringe"]]

    def _glasses(self, vertices: np.ndarray) -> list:
        found = accessories.glasses(self.pack, vertices)
        frame = materials.wet("frame", "17120f", 0.3, 0.6, 0.0)
        radius = accessories.RIM * BLENDER_SCALE
        self._curves("rims", to_blender(found.rims), radius, 1.0, frame)
        self._curves("bars", to_blender(found.bars), radius * 0.8, 1.0, frame)
        lenses = _mesh("lenses", to_blender(found.rims[:, :0:-1].reshape(-1, 3)),
                       np.array([47, 47]), np.arange(94))
        lenses.materials.append(materials.lens())
        self._link(bpy.data.objects.new("lenses", lenses))
        return [self.scene.objects[n] for n in ("rims", "bars", "lenses")]

    def _shirt(self, vertices: np.ndarray) -> None:
        """Skin faces below the neck, pushed out, smoothed, cut by a slanting plane, thickened."""
        part = self.pack.part("skin")
        pushed = vertices + 0.30 * self.pack.skin_normals(vertices)
        start = np.cumsum(part.face_len.astype(int)) - part.face_len
        low = vertices[part.vertex_ids][:, 1] < -7.0
        keep = np.logical_or.reduceat(low[part.face_flat], start)
        corners = np.repeat(keep, part.face_len)
        ids, flat = np.unique(part.face_flat[corners], return_inverse=True)
        mesh = _mesh("shirt", to_blender(pushed[part.vertex_ids[ids]]), part.face_len[keep],
                     flat.astype(np.int32))
        rough = bpy.data.objects.new("shirt draft", mesh)
        finer = rough.modifiers.new("finer", "SUBSURF")
        finer.levels, finer.subdivision_type = 1, "SIMPLE"
        self._link(rough)
        graph = bpy.context.evaluated_depsgraph_get()
        mesh = bpy.data.meshes.new_from_object(rough.evaluated_get(graph))
        bpy.data.objects.remove(rough)
        b = bmesh.new()
        b.from_mesh(mesh)
        bmesh.ops.bisect_plane(b, geom=b.verts[:] + b.edges[:] + b.faces[:],
                               plane_co=to_blender((0, -11.6, 1.0)).tolist(),
                               plane_no=(0, -0.22, 1), clear_outer=True)
        b.to_mesh(mesh)
        b.free()
        mesh.materials.clear()
        mesh.materials.append(materials.cloth(self.look["shirt"]))
        obj = bpy.data.objects.new("shirt", mesh)
        shell = obj.modifiers.new("thickness", "SOLIDIFY")
        shell.thickness, shell.offset = 0.045, 0.0  # half of it outwards
        self._link(obj)


def _mesh(name: str, positions: np.ndarray, face_len: np.ndarray, face_flat: np.ndarray):
    mesh = bpy.data.meshes.new(name)
    ends = np.cumsum(face_len.astype(int))
    mesh.from_pydata(positions.tolist(), [],
                     [face_flat[e - n:e].tolist() for e, n in zip(ends, face_len, strict=True)])
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    return mesh


def _attribute(mesh, name: str, kind: str, values: np.ndarray) -> None:
    attribute = mesh.attributes.new(name, kind, "POINT")
    field = "vector" if kind == "FLOAT_VECTOR" else "value"
    attribute.data.foreach_set(field, np.ascontiguousarray(values, np.float32).ravel())


def _set_positions(data, positions: np.ndarray) -> None:
    """Vertices of a mesh or points of hair curves, (P, 3) Blender units."""
    attribute = data.attributes.get("position") or data.attributes.new(
        "position", "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", np.ascontiguousarray(positions, np.float32).ravel())
    data.update_tag()
