"""Meshes on disk: binary glTF 2.0 (`.glb`) and `.ply`, both with a color at each vertex.

glTF: +y up, meters, linear colors in COLOR_0 (Khronos glTF 2.0, §3.7.2), shown as they are by
KHR_materials_unlit. PLY: the layout that MeshLab and Blender write, sRGB bytes.
"""

from __future__ import annotations

import numpy as np

from ..data.cameras import SceneFrame
from ..runtime.files import write_bytes
from .gltf import ARRAY, Buffer
from .mesh import Mesh


def write_mesh_ply(mesh: Mesh, path) -> None:
    """Write a binary little-endian PLY: x y z nx ny nz red green blue, and triangles."""
    vertex = np.empty(len(mesh.vertices), dtype=[
        *((n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")),
        *((n, "u1") for n in ("red", "green", "blue"))])
    for names, values in ((("x", "y", "z"), mesh.vertices), (("nx", "ny", "nz"), mesh.normals),
                          (("red", "green", "blue"), np.rint(255 * mesh.colors))):
        for k, name in enumerate(names):
            vertex[name] = values[:, k]
    face = np.empty(len(mesh.triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    face["count"], face["corners"] = 3, mesh.triangles
    kinds = {"f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertex)}"]
    header += [f"property {kinds[vertex.dtype[n].str[1:]]} {n}" for n in vertex.dtype.names]
    header += [f"element face {len(face)}", "property list uchar int vertex_indices", "end_header"]
    write_bytes(path, ("\n".join(header) + "\n").encode() + vertex.tobytes() + face.tobytes())


def write_glb(mesh: Mesh, path, frame: SceneFrame | None = None) -> None:
    """Write one node with one mesh. frame: turned so that its up is +y and its front +z, about its
    center."""
    vertices, normals = mesh.vertices, mesh.normals
    if frame is not None:
        axes = np.stack([np.cross(frame.up, frame.front), frame.up, frame.front])
        vertices, normals = (vertices - frame.center) @ axes.T, normals @ axes.T
    c = np.clip(mesh.colors, 0, 1)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)  # sRGB -> linear
    colors = np.full((len(c), 4), 65535, np.uint16)
    colors[:, :3] = np.rint(65535 * linear)
    buffer = Buffer()
    attributes = {"POSITION": buffer.add(vertices, "VEC3", target=ARRAY, bounds=True),
                  "NORMAL": buffer.add(normals, "VEC3", target=ARRAY),
                  "COLOR_0": buffer.add(colors, "VEC4", target=ARRAY, normalized=True)}
    scene = {
        "asset": {"version": "2.0", "generator": "idf_helpers"},
        "extensionsUsed": ["KHR_materials_unlit"], "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "head"}],
        "meshes": [{"primitives": [{"attributes": attributes, "material": 0,
                                    "indices": buffer.indices(mesh.triangles)}]}],
        "materials": [{"extensions": {"KHR_materials_unlit": {}},
                       "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1}}],
    }
    write_bytes(path, buffer.pack(scene))

