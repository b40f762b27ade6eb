"""Splats in glTF: `.glb` with the extension KHR_gaussian_splatting, read and written.

After the text of the extension (KhronosGroup/glTF, extensions/2.0/Khronos/KHR_gaussian_splatting,
README.md after its editorial review #2567) and the writer of playcanvas/splat-transform. Attributes
of a POINTS primitive: POSITION, KHR_gaussian_splatting:ROTATION (x, y, z, w), SCALE (standard
deviations, linear), OPACITY (linear, 0 to 1), SH_DEGREE_l_COEF_n (VEC3). Signs and order of the
harmonics are those of 3DGS files. COLOR_0 is what a program without the extension draws points in;
it is linear. Axes are glTF's: +y up, the front to +z. A mesh in the same file is left alone.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ....errors import IdfError
from ....runtime import safe_json
from ....runtime.files import readable
from ..gaussians import SH_C0, Gaussians
from .axes import GLTF
from .splat_model import FLAT, OURS, Orbit, SplatModel, damaged, logits, too_short, usable
from .turn import turned

EXTENSION = "KHR_gaussian_splatting"
MAGIC, JSON_CHUNK, BIN_CHUNK = b"glTF", 0x4E4F534A, 0x004E4942
MAX_JSON = 64 << 20
MAX_DEPTH = 256  # of nodes in nodes
MAX_PARTS = 4096  # splat primitives that a scene places
MOST_COPIES = 64  # Gaussians in memory, of the bytes of the file: the same may be placed again
TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
BLOCK = 1 << 16  # Gaussians that are written at a time


def read_glb(path: Path) -> SplatModel:
    """Return the Gaussians of all splat primitives of a `.glb`, placed as its scene places them.

    IdfError: no splats in it, an older draft of the extension (which stored logarithms), compressed
    splats, a sheared node, truncated. Sizes are checked before memory is taken.
    """
    scene, body, start = _chunks(path)
    try:
        parts, size = [], 0
        for primitive, matrix in _primitives(path, scene):
            parts.append(_gaussians(path, scene, body, start, primitive, matrix))
            size += sum(a.nbytes for a in parts[-1][0].arrays().values())
            if len(parts) > MAX_PARTS or size > MOST_COPIES * body:
                raise damaged(path, ".glb", f"the same splats placed {len(parts)} times or more")
        extras = scene["asset"].get("extras")
        orbit = Orbit.of(extras.get("idf:orbit")) if isinstance(extras, dict) else None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise damaged(path, ".glb", f"{type(error).__name__}: {error}"[:160]) from None
    if not parts:
        raise IdfError(f"{path} holds no splats", f"no primitive with {EXTENSION}",
                       "give a .glb that a splat tool wrote; meshes cannot be shown here")
    bases = max(g.sh.shape[1] for g, _ in parts)
    arrays = [g.with_bases(bases).arrays() for g, _ in parts]
    g = Gaussians(**{name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]})
    notes = [note for _, found in parts for note in found]
    ours = str(scene["asset"].get("generator")).startswith(OURS)
    return SplatModel(g.checked(), notes, GLTF if ours else None, ours, GLTF.up, orbit)


def _chunks(path: Path) -> tuple[dict, int, int]:
    """Return the JSON, and length and offset of the binary chunk."""
    with readable(path, "splat file"), open(path, "rb") as f:
        size = path.stat().st_size
        head = f.read(20)
        if len(head) < 20 or head[:4] != MAGIC:
            raise IdfError(f"{path} is not a .glb file", f"it begins with {head[:4]!r}",
                           "give a binary glTF file")
        version, total, length, kind = struct.unpack_from("<4I", head, 4)
        if version != 2 or kind != JSON_CHUNK or length > MAX_JSON:
            raise damaged(path, ".glb", f"version {version}, {length} bytes of JSON")
        if total > size or length > size - 20:
            raise too_short(path, f"{max(total, length + 20)} bytes", size)
        text = f.read(length)
        rest = f.read(8)
    scene = safe_json.parse_record(text, {"asset": dict}, f"The JSON of {path}",
                                   "export it again from its source")
    body, kind = struct.unpack("<2I", rest) if len(rest) == 8 else (0, BIN_CHUNK)
    start = 20 + length + 8
    if kind != BIN_CHUNK or body > max(size - start, 0):
        raise too_short(path, f"{body} bytes of data", size)
    return scene, body, start


def _primitives(path: Path, scene: dict):
    """Yield (primitive, 4x4 matrix) of the splats that the scene shows. Where the file has no
    scene, those of all nodes; where it has no nodes, all."""
    meshes = scene.get("meshes", [])
    nodes = scene.get("nodes") or [{"mesh": i} for i in range(len(meshes))]
    below = {n for node in nodes for n in node.get("children", [])}
    scenes = scene.get("scenes") or [{"nodes": [n for n in range(len(nodes)) if n not in below]}]
    stack = [(n, np.eye(4), 0) for n in scenes[scene.get("scene", 0)].get("nodes", [])]
    seen: set[int] = set()
    while stack:
        index, above, depth = stack.pop()
        if index in seen or depth > MAX_DEPTH:
            raise damaged(path, ".glb", "nodes in a circle")
        seen.add(index)
        node = nodes[index]
        matrix = above @ _matrix(node)
        stack += [(n, matrix, depth + 1) for n in node.get("children", [])]
        if "mesh" in node:
            for primitive in meshes[node["mesh"]]["primitives"]:
                if EXTENSION in primitive.get("extensions", {}):
                    yield primitive, matrix


def _matrix(node: dict) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = np.array(node.get("rotation", [0, 0, 0, 1]), np.float64)
    s = 2 / max(x * x + y * y + z * z + w * w, 1e-12)
    R = np.array([[1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
                  [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
                  [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)]])
    out = np.eye(4)
    out[:3, :3] = R * np.array(node.get("scale", [1, 1, 1]), np.float64)
    out[:3, 3] = node.get("translation", [0, 0, 0])
    return out


def _gaussians(path, scene, body, start, primitive, matrix) -> tuple[Gaussians, list[str]]:
    extension, attributes = primitive["extensions"][EXTENSION], primitive["attributes"]
    if extension.get("extensions") or "attributes" in extension:
        raise IdfError(f"{path} holds splats that are packed or of an early draft",
                       ", ".join(extension.get("extensions") or ["attributes"]),
                       "export it without compression, as KHR_gaussian_splatting says")
    if extension.get("kernel") != "ellipse":
        raise IdfError(f"{path} holds splats of another kernel", str(extension.get("kernel"))[:40],
                       "only `ellipse` is known")

    def get(name: str, width: int, prefix: str = EXTENSION + ":") -> np.ndarray:
        return _accessor(path, scene, body, start, attributes[prefix + name], width)

    means, scale = get("POSITION", 3, ""), get("SCALE", 3)
    if np.nanmin(scale, initial=0) < 0:
        raise IdfError(f"{path} holds negative scales", f"{np.nanmin(scale):.3g}: an early draft "
                       "of the extension stored logarithms", "export it with a newer tool")
    quat, opacity = get("ROTATION", 4)[:, [3, 0, 1, 2]], get("OPACITY", 1)[:, 0]
    sh = [get("SH_DEGREE_0_COEF_0", 3)]
    for l in (1, 2, 3):
        if f"{EXTENSION}:SH_DEGREE_{l}_COEF_0" not in attributes:
            break
        sh += [get(f"SH_DEGREE_{l}_COEF_{k}", 3) for k in range(2 * l + 1)]
    arrays = [means, scale, quat, opacity, *sh]
    if len({len(a) for a in arrays}) != 1:
        raise damaged(path, ".glb", f"attributes of {sorted({len(a) for a in arrays})} entries")
    with np.errstate(divide="ignore", invalid="ignore"):
        model = usable(path, means, np.maximum(np.log(scale), FLAT), quat, logits(opacity, 1e-6),
                       np.stack(sh, axis=1))
    linear = extension.get("colorSpace") == "lin_rec709_display"
    notes = model.notes + ["its colors are linear: they are shown as if they were sRGB"] * linear
    A = matrix[:3, :3]
    size = float(np.cbrt(max(np.linalg.det(A), 0)))
    if not (np.isfinite(matrix).all() and size > 1e-9
            and np.allclose(A.T @ A, size**2 * np.eye(3), atol=1e-3 * size**2)):
        raise IdfError(f"{path} places its splats by a node that stretches or mirrors them",
                       "a scale that differs between the axes", "apply the node's scale first")
    return turned(model.gaussians, A / size, size, matrix[:3, 3]), notes


def _accessor(path: Path, scene: dict, body: int, start: int, index: int, width: int) -> np.ndarray:
    """Return (count, width) float32."""
    accessor = scene["accessors"][index]
    kind, count = np.dtype(TYPES[accessor["componentType"]]), accessor["count"]
    view = scene["bufferViews"][accessor["bufferView"]]
    if "sparse" in accessor or scene["buffers"][view.get("buffer", 0)].get("uri") \
            or view.get("buffer", 0) != 0:
        raise IdfError(f"{path} stores its splats outside itself or sparsely",
                       "sparse values" if "sparse" in accessor else "another file beside it",
                       "export one .glb that holds all")
    packed_row = kind.itemsize * width
    stride = view.get("byteStride") or packed_row
    at, offset = view.get("byteOffset", 0), accessor.get("byteOffset", 0)
    if WIDTHS[accessor["type"]] != width or not all(
            isinstance(v, int) and v >= 0 for v in (count, stride, at, offset,
                                                    view["byteLength"])) \
            or count < 1 or stride < packed_row or stride > 252 + packed_row:
        raise damaged(path, ".glb", f"an accessor of {accessor['type']}, {count} entries"[:120])
    needed = offset + stride * (count - 1) + packed_row
    if needed > view["byteLength"] or at + view["byteLength"] > body:
        raise too_short(path, f"{at + needed} bytes of data", body)
    rows = np.memmap(path, np.uint8, "r", start + at + offset, (stride * (count - 1) + packed_row,))
    table = np.lib.stride_tricks.as_strided(rows, (count, packed_row), (stride, 1))
    out = np.ascontiguousarray(table).view(kind).astype(np.float32)
    if accessor.get("normalized") and kind.kind in "iu":
        out = np.maximum(out / np.float32(np.iinfo(kind).max), -1)
    return out


def write_glb(g: Gaussians, path: Path, orbit: Orbit | None = None) -> None:
    """Write Gaussians, whose axes are `GLTF`, as one primitive; every number a float32."""
    n, sh = len(g), g.sh
    names = [f"SH_DEGREE_{l}_COEF_{k}" for l in range(g.sh_degree + 1) for k in range(2 * l + 1)]

    def color(part: slice) -> np.ndarray:
        srgb = np.clip(np.float32(0.5) + np.float32(SH_C0) * sh[part, 0], 0, 1)
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        rgba = np.concatenate([linear, g.opacities[part, None]], axis=1)
        return np.rint(255 * rgba).astype(np.uint8)

    def quats(part: slice) -> np.ndarray:
        q = g.quats[part]
        return (q / np.linalg.norm(q, axis=1, keepdims=True))[:, [1, 2, 3, 0]]

    columns = [("POSITION", "VEC3", lambda p: g.means[p]), ("COLOR_0", "VEC4", color),
               (f"{EXTENSION}:ROTATION", "VEC4", quats),
               (f"{EXTENSION}:SCALE", "VEC3", lambda p: np.exp(g.log_scales[p])),
               (f"{EXTENSION}:OPACITY", "SCALAR",
                lambda p: 1 / (1 + np.exp(-g.opacity_logits[p]))),
               *((f"{EXTENSION}:{name}", "VEC3", lambda p, k=k: sh[p, k])
                 for k, name in enumerate(names))]
    views, accessors, at = [], [], 0
    for name, kind, _ in columns:
        byte = name == "COLOR_0"
        length = n * WIDTHS[kind] * (1 if byte else 4)
        views.append({"buffer": 0, "byteOffset": at, "byteLength": length, "target": 34962})
        accessors.append({"bufferView": len(accessors), "componentType": 5121 if byte else 5126,
                          "count": n, "type": kind} | ({"normalized": True} if byte else {}))
        at += length
    accessors[0] |= {"min": g.means.min(axis=0).tolist(), "max": g.means.max(axis=0).tolist()}
    asset: dict = {"version": "2.0", "generator": OURS}
    if orbit:
        asset["extras"] = {"idf:orbit": asdict(orbit)}
    scene = {
        "asset": asset, "extensionsUsed": [EXTENSION], "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}], "buffers": [{"byteLength": at}], "bufferViews": views,
        "accessors": accessors, "meshes": [{"primitives": [{
            "mode": 0, "attributes": {c[0]: i for i, c in enumerate(columns)},
            "extensions": {EXTENSION: {
                "kernel": "ellipse", "colorSpace": "srgb_rec709_display",
                "projection": "perspective", "sortingMethod": "cameraDistance"}}}]}]}
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with open(path, "wb") as f:
        f.write(struct.pack("<4s4I", MAGIC, 2, 28 + len(text) + at, len(text), JSON_CHUNK) + text)
        f.write(struct.pack("<2I", at, BIN_CHUNK))
        for name, _, values in columns:
            for i in range(0, n, BLOCK):
                f.write(np.ascontiguousarray(values(slice(i, i + BLOCK)),
                                             "u1" if name == "COLOR_0" else "<f4").data)
