"""The head pack in numpy: neutral heads, expressions, attached strands, the samples' world frame.

A head pack is a folder with `head_core.npz` (mesh, 53 expressions, landmark ids, vertex masks),
`strands_{A,B,C}.npz` (hair, brows, stubble), `look_{A,B,C}.json` (colors) and `lips_mask.png`.
Its geometry derives from ICT-FaceKit (https://github.com/ICT-VGL/ICT-FaceKit, MIT). Lengths are
centimeters, y points up, the face looks to +z and x is the head's own left.

Needs numpy alone, so that whatever wants exact geometry can use it without Blender.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from idf_helpers.errors import IdfError

# Resting face: a bare neutral looks sullen.
REST = {"mouthSmile_L": 0.30, "mouthSmile_R": 0.30, "cheekSquint_L": 0.12, "cheekSquint_R": 0.12}

BLENDER_SCALE = 0.1  # Blender units per centimeter
CENTER = np.array([0.0, -0.18, 0.12])  # what the cameras look at, Blender units
CAMERA_DISTANCE = 6.3  # of every camera from CENTER, Blender units

_CORE_KEYS = ("base", "face_len", "face_flat", "face_uv_flat", "uv", "part_names",
              "part_face_range", "expr_names", "expr_q", "expr_scale", "landmarks68")


def to_blender(cm) -> np.ndarray:
    """(..., 3) pack centimeters -> Blender units: (x, -z, y) * 0.1, z up, face looks to -y."""
    cm = np.asarray(cm, np.float64)
    return np.stack([cm[..., 0], -cm[..., 2], cm[..., 1]], axis=-1) * BLENDER_SCALE


def to_world(cm, distance: float = 4.0) -> np.ndarray:
    """(..., 3) pack centimeters -> a sample's world, where cameras stand `distance` from 0."""
    return (to_blender(cm) - CENTER) * (distance / CAMERA_DISTANCE)


def vertex_normals(vertices, face_len, face_flat) -> np.ndarray:
    """Unit normals (V, 3) float64 of a mesh of triangles and quads.

    vertices: (V, 3). face_len: (F,) 3 or 4. face_flat: (sum(face_len),) vertex ids, face by face.
    n_v = unit(sum of the cross products of its triangles), so that large ones weigh more; a quad
    (0, 1, 2, 3) counts as the fan (0, 1, 2), (0, 2, 3), as when the strands were grown.
    Vertices without a face get (0, 0, 0).
    """
    v = np.asarray(vertices, np.float64)
    face_len, face_flat = np.asarray(face_len, np.int64), np.asarray(face_flat, np.int64)
    start = np.cumsum(face_len) - face_len
    quads = start[face_len == 4]
    tri = face_flat[np.concatenate([start[:, None] + (0, 1, 2), quads[:, None] + (0, 2, 3)])]
    cross = np.cross(v[tri[:, 1]] - v[tri[:, 0]], v[tri[:, 2]] - v[tri[:, 0]])
    n = np.zeros_like(v)
    for j in range(3):
        np.add.at(n, tri[:, j], cross)
    length = np.linalg.norm(n, axis=1, keepdims=True)
    return n / np.where(length > 0, length, 1.0)


def attached_strands(vertices, normals, tri, bary, local) -> np.ndarray:
    """Strands (S, K, 3) that ride on the skin (brows, stubble).

    vertices, normals: (V, 3). tri: (S, 3) vertex ids. bary: (S, 3) weights. local: (S, K, 3) in
    the frame (u, w, n) at the root: n = unit(mix of normals), u = unit((0, 1, 0) x n), w = n x u;
    point = root + local.x u + local.y w + local.z n.
    """
    root = np.einsum("si,sij->sj", bary, np.asarray(vertices, np.float64)[tri])
    n = np.einsum("si,sij->sj", bary, np.asarray(normals, np.float64)[tri])
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    u = np.cross((0.0, 1.0, 0.0), n)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    frame = np.stack([u, np.cross(n, u), n], axis=1)  # rows u, w, n
    return root[:, None] + np.einsum("skc,scj->skj", np.asarray(local, np.float64), frame)


@dataclass(frozen=True)
class Part:
    """A piece of the head with vertices of its own.

    name: "skin", "mouth", "scl" … vertex_ids: (P,) rows in the head's vertices.
    face_len: (F,) uint8, face_flat: (sum,) ids into vertex_ids, uv: (sum, 2) per face corner.
    """

    name: str
    vertex_ids: np.ndarray
    face_len: np.ndarray
    face_flat: np.ndarray
    uv: np.ndarray


class HeadPack:
    """A head pack on disk; arrays are read when first asked for."""

    def __init__(self, folder: str | Path):
        """Raises IdfError where the folder is not a head pack."""
        self.folder = Path(folder)
        path = self.folder / "head_core.npz"
        if not path.is_file():
            raise IdfError(f"{self.folder} is not a head pack", "no head_core.npz in it",
                           "give the folder that holds head_core.npz, strands_*.npz, look_*.json")
        with np.load(path, allow_pickle=False) as z:
            self.core = {k: z[k] for k in z.files}
        missing = [k for k in _CORE_KEYS if k not in self.core]
        if missing:
            raise IdfError(f"{path} is not complete", "it lacks " + ", ".join(missing),
                           "copy the head pack again")
        self._strands: dict[str, dict[str, np.ndarray]] = {}

    @property
    def base(self) -> np.ndarray:
        """(V, 3) the mean head, cm: the rest position that procedural textures stick to."""
        return self.core["base"]

    @cached_property
    def expression_names(self) -> tuple[str, ...]:
        """ARKit-like names; `_L` and `_R` are the head's own sides."""
        return tuple(str(n) for n in self.core["expr_names"])

    def neutral(self, identity: str) -> np.ndarray:
        """(V, 3) float64 cm: base + identity delta. Raises IdfError for an unknown identity."""
        key = f"id_{identity}_delta"
        if key not in self.core:
            known = sorted(k[3:-6] for k in self.core if k.startswith("id_") and "delta" in k)
            raise IdfError(f"The head pack has no identity {identity!r}",
                           "identities: " + ", ".join(known))
        return self.base.astype(np.float64) + self.core[key]

    def vertices(self, identity: str, weights: dict[str, float] | None = None) -> np.ndarray:
        """(V, 3) float64 cm: V = base + id_delta + sum_k w_k expr_q[k] expr_scale[k].

        weights: expression name -> weight in [0, 1]; None is the resting face, {} bare neutral.
        Raises IdfError for an unknown expression.
        """
        out = self.neutral(identity)
        for name, w in (REST if weights is None else weights).items():
            if name not in self.expression_names:
                raise IdfError(f"The head pack has no expression {name!r}",
                               f"it has {len(self.expression_names)}, "
                               f"such as {', '.join(self.expression_names[:3])}")
            k = self.expression_names.index(name)
            if w:
                out += (float(w) * float(self.core["expr_scale"][k])) * self.core["expr_q"][k]
        return out

    def landmarks(self, vertices) -> np.ndarray:
        """(68, 3) of `vertices` in iBUG order."""
        return np.asarray(vertices)[self.core["landmarks68"]]

    @cached_property
    def _face_start(self) -> np.ndarray:
        n = self.core["face_len"].astype(np.int64)
        return np.concatenate([[0], np.cumsum(n)])

    def _faces(self, name: str) -> tuple[np.ndarray, slice]:
        names = [str(n) for n in self.core["part_names"]]
        if name not in names:
            raise IdfError(f"The head pack has no part {name!r}", "parts: " + ", ".join(names))
        a, b = self.core["part_face_range"][names.index(name)]
        return self.core["face_len"][a:b], slice(self._face_start[a], self._face_start[b])

    def part(self, name: str) -> Part:
        """One piece of the mesh, its vertices renumbered from 0."""
        face_len, corners = self._faces(name)
        ids, flat = np.unique(self.core["face_flat"][corners], return_inverse=True)
        uv = self.core["uv"][self.core["face_uv_flat"][corners]]
        return Part(name, ids, face_len, flat.reshape(-1).astype(np.int32), uv)

    def skin_normals(self, vertices) -> np.ndarray:
        """(V, 3) unit normals over the skin faces, what strands stand on."""
        face_len, corners = self._faces("skin")
        return vertex_normals(vertices, face_len, self.core["face_flat"][corners])

    def mask(self, name: str) -> np.ndarray:
        """(V,) float32 in [0, 1]: a painted region ("cheek", "beard" …), 0 off the skin."""
        out = np.zeros(len(self.base), np.float32)
        m = self.core[f"mask_{name}"]
        out[:len(m)] = m.astype(np.float32) / 255
        return out

    def look(self, identity: str) -> dict:
        """Colors (sRGB hex) and weights of the materials."""
        return json.loads((self.folder / f"look_{identity}.json").read_text(encoding="utf-8"))

    def strands(self, identity: str) -> dict[str, np.ndarray]:
        """The arrays of strands_<identity>.npz."""
        if identity not in self._strands:
            with np.load(self.folder / f"strands_{identity}.npz", allow_pickle=False) as z:
                self._strands[identity] = {k: z[k] for k in z.files}
        return self._strands[identity]

    def attached(self, identity: str, kind: str, vertices) -> np.ndarray | None:
        """(S, K, 3) cm: "brow" or "stubble" strands on these vertices; None where it has none."""
        s = self.strands(identity)
        if f"{kind}_tri" not in s:
            return None
        return attached_strands(vertices, self.skin_normals(vertices), s[f"{kind}_tri"],
                                s[f"{kind}_bary"], s[f"{kind}_local"])
