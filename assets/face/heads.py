"""Heads of the head pack drawn in software: further identities, vertex colors, shaded pictures.

Not for looking at: the pictures are there for the landmark models, which need a face's tones and
edges (brows, lashes, lips, irises, a light from somewhere), not its pores. About 40 ms a picture.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "render"))
from pack import HeadPack

from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.data.media import read_image
from idf_helpers.errors import IdfError
from idf_helpers.face.head_model import CENTER
from idf_helpers.face.raster import rasterize

DISTANCE = 63.0  # cm, of the cameras from CENTER
FOV_X = np.radians(29.0)
DRAWN = ("skin", "mouth", "socket", "gum", "teeth", "scl", "irl", "scr", "irr")
# Light skin to dark, sRGB; lips and brows go with them.
TONES = ((226, 182, 158), (205, 156, 130), (192, 141, 114), (160, 112, 84), (112, 74, 54))
HAIR = ((38, 26, 20), (64, 44, 30), (112, 80, 50), (26, 22, 22), (150, 120, 84))
IRIS = ((79, 106, 82), (84, 58, 38), (74, 98, 130), (52, 38, 30))
CORNEA = 0.55  # cm: the sclera's bulge in front of the iris is glass and is left out
PUPIL = 0.195  # cm
GRAY = 128  # behind the head


class DrawnHeads:
    """Identities and expressions of a pack, ready to be drawn."""

    def __init__(self, folder):
        self.pack = HeadPack(folder)

    @cached_property
    def modes(self) -> np.ndarray:
        """(100, V, 3) float32 cm. IdfError where the pack lacks them."""
        path = self.pack.folder / "identity_modes.npz"
        if not path.is_file():
            raise IdfError(f"{path.parent} has no identity modes", "no identity_modes.npz",
                           "copy the whole head pack: further identities are drawn from them")
        with np.load(path, allow_pickle=False) as z:
            return z["modes"].astype(np.float32)

    @cached_property
    def _opposite(self) -> np.ndarray:
        """(V,) the vertex nearest to each one's mirror image."""
        from scipy.spatial import cKDTree

        base = self.pack.base.astype(np.float64)
        return cKDTree(base).query(base * (-1, 1, 1))[1]

    def identity(self, seed: int) -> np.ndarray:
        """(V, 3) float64 cm: a neutral head drawn from the modes.

        Coefficients N(0, 0.9) for the first 60 modes, N(0, 0.5) for the rest, times 0.75-0.95; of
        what is not symmetric a quarter is kept, as for the pack's own three heads.
        """
        rng = np.random.default_rng(seed)
        c = rng.normal(0, 1, 100) * np.where(np.arange(100) < 60, 0.9, 0.5)
        c *= rng.uniform(0.75, 0.95)
        delta = np.tensordot(c, self.modes, 1).astype(np.float64)
        mirrored = delta[self._opposite] * (-1, 1, 1)
        symmetric = (delta + mirrored) / 2
        return self.pack.base + symmetric + 0.25 * (delta - symmetric)

    def shape(self, name: str) -> np.ndarray:
        """(V, 3) float64 cm: what the expression adds at weight 1."""
        k = self.pack.expression_names.index(name)
        return self.pack.core["expr_q"][k].astype(np.float64) * float(
            self.pack.core["expr_scale"][k])

    def expressed(self, neutral: np.ndarray, weights: dict[str, float]) -> np.ndarray:
        """(V, 3) cm: `neutral` with expressions, weights in [0, 1]."""
        return neutral + sum((w * self.shape(n) for n, w in weights.items() if w), np.zeros(3))

    # -- drawing -----------------------------------------------------------------------------------

    @cached_property
    def _triangles(self) -> np.ndarray:
        """(T, 3) int32 of the drawn parts, without the glass before the irises."""
        out = []
        for name in DRAWN:
            part = self.pack.part(name)
            tri = part.vertex_ids[_fan(part.face_len, part.face_flat)]
            if name in ("scl", "scr"):
                v = self.pack.base[tri].mean(1)
                eye = self.pack.base[part.vertex_ids]
                front = eye[eye[:, 2].argmax()]
                near = np.linalg.norm((v - front)[:, :2], axis=1) < CORNEA
                tri = tri[~(near & (v[:, 2] > eye[:, 2].mean()))]
            out.append(tri)
        return np.concatenate(out).astype(np.int32)

    @cached_property
    def _lashes(self) -> np.ndarray:
        part = self.pack.part("lash")
        return part.vertex_ids[_fan(part.face_len, part.face_flat)].astype(np.int32)

    @cached_property
    def _lips(self) -> np.ndarray:
        """(V,) in [0, 1], sampled from the pack's picture where the skin has it."""
        mask = read_image(self.pack.folder / "lips_mask.png")[..., 0].astype(np.float32) / 255
        part = self.pack.part("skin")
        size = len(mask)
        uv = np.zeros((len(self.pack.base), 2), np.float32)
        uv[part.vertex_ids[part.face_flat]] = part.uv
        x = np.clip((uv[:, 0] * size).astype(int), 0, size - 1)
        y = np.clip(((1 - uv[:, 1]) * size).astype(int), 0, size - 1)
        out = np.zeros(len(uv), np.float32)
        on_face = part.vertex_ids[part.vertex_ids <= 9408]
        out[on_face] = mask[y, x][on_face]
        return out

    def colors(self, look: Look) -> np.ndarray:
        """(V, 3) float32 sRGB 0-255 before light."""
        pack, n = self.pack, len(self.pack.base)
        rng = np.random.default_rng(look.seed)
        out = np.tile(np.asarray(look.tone, np.float32), (n, 1))
        smooth = rng.normal(0, 1, n).astype(np.float32)
        out *= 1 + 0.035 * smooth[:, None]

        def paint(mask, color, weight):
            w = (mask * weight)[:, None]
            out[:] = out * (1 - w) + np.asarray(color, np.float32) * w

        for name, weight in (("cheek", 0.3), ("nose", 0.3), ("ear", 0.25), ("chin", 0.1)):
            paint(pack.mask(name), np.multiply(look.tone, (0.98, 0.72, 0.70)), weight)
        paint(pack.mask("lid"), np.multiply(look.tone, (0.82, 0.72, 0.72)), 0.4)
        paint(pack.mask("beard"), look.hair, look.beard)
        paint(pack.mask("browz"), look.hair, 0.25)
        paint(self._lips, np.multiply(look.tone, (0.80, 0.48, 0.52)), 0.85)
        paint(pack.mask(f"scalp_{look.hairline}"), look.hair, 1.0)
        for name, color in (("mouth", (70, 24, 24)), ("socket", (150, 90, 80)),
                             ("gum", (120, 56, 54)), ("teeth", (205, 196, 180)),
                             ("scl", (218, 212, 206)), ("scr", (218, 212, 206))):
            out[pack.part(name).vertex_ids] = color
        for name in ("irl", "irr"):
            ids = pack.part(name).vertex_ids
            v = pack.base[ids]
            r = np.linalg.norm((v - (v.max(0) + v.min(0)) / 2)[:, :2], axis=1)
            out[ids] = np.where((r < PUPIL)[:, None], (12, 10, 10),
                                np.where((r > 0.5)[:, None], (24, 20, 16), look.iris))
        return out

    def draw(self, vertices: np.ndarray, camera: Camera, look: Look) -> np.ndarray:
        """(H, W, 3) uint8: the head seen by a camera in the pack's frame (cm)."""
        s = 2
        h, w = camera.height * s, camera.width * s
        xy, z = camera.project(vertices)
        xy = xy * s
        shade = self._shade(vertices, look)
        rgb, ids, depth = rasterize(self._triangles, xy, z, shade, h, w, perspective=True)
        rgb[ids < 0] = look.background
        over, lash_ids, lash_depth = rasterize(self._lashes, xy, z, np.ones((len(z), 1)), h, w,
                                               perspective=True)
        seen = (lash_ids >= 0) & (lash_depth < depth + 0.02)
        rgb[seen] = rgb[seen] * 0.45 + np.multiply(look.hair, 0.5) * 0.55
        if look.brows:
            self._draw_brows(rgb, depth, vertices, camera, look, s)
        small = cv2.resize(rgb, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        return np.clip(np.rint(small), 0, 255).astype(np.uint8)

    def _shade(self, vertices, look: Look) -> np.ndarray:
        normals = _normals(vertices, self._triangles)
        light = np.full(len(vertices), look.ambient)
        for direction, strength in look.lights:
            d = np.asarray(direction, np.float64)
            cosine = normals @ (d / np.linalg.norm(d))
            light += strength * np.clip((cosine + 0.25) / 1.25, 0, None)  # skin scatters: wrapped
        # colors were given in sRGB: light acts on their square, as gamma 2 has it
        base = (self._colors_of(look) / 255) ** 2
        return (255 * np.sqrt(np.clip(base * light[:, None], 0, 1))).astype(np.float32)

    def _colors_of(self, look: Look) -> np.ndarray:
        if getattr(self, "_painted", None) is None or self._painted[0] != look:
            self._painted = (look, self.colors(look))
        return self._painted[1]

    def _draw_brows(self, rgb, depth, vertices, camera, look, s):
        strands = self.pack.attached(look.brows, "brow", vertices)
        xy, z = camera.project(strands.reshape(-1, 3))
        xy = (xy * s).reshape(*strands.shape[:2], 2)
        root = np.rint(xy[:, 0] - 0.5).astype(int)
        inside = ((root >= 0) & (root < (rgb.shape[1], rgb.shape[0]))).all(1)
        root = np.clip(root, 0, (rgb.shape[1] - 1, rgb.shape[0] - 1))
        z = z.reshape(strands.shape[:2])[:, 0]
        seen = inside & (z < depth[root[:, 1], root[:, 0]] + 0.25)
        ink = np.zeros(rgb.shape[:2], np.uint8)
        lines = [np.rint((p - 0.5) * 16).astype(np.int32) for p in xy[seen]]
        cv2.polylines(ink, lines, False, 255, 1, cv2.LINE_AA, shift=4)
        a = (ink / 255.0 * 0.75)[..., None].astype(np.float32)
        rgb[:] = rgb * (1 - a) + np.multiply(look.hair, 0.8).astype(np.float32) * a


@dataclass(frozen=True)
class Look:
    """What a head looks like; colors are sRGB 0-255.

    brows, hairline: of which of the pack's heads. beard: weight of its shadow. lights: directions
    toward the light in the head's frame and strengths. seed: of the skin's mottle.
    """

    tone: tuple
    hair: tuple
    iris: tuple
    brows: str = "A"
    hairline: str = "A"
    beard: float = 0.0
    ambient: float = 0.35
    lights: tuple = (((0.3, 0.35, 1.0), 0.75),)
    background: tuple = (GRAY, GRAY, GRAY)
    seed: int = 0


def draw_look(seed: int) -> Look:
    """Colors and lights of a made-up head."""
    rng = np.random.default_rng([seed, 77])
    man = rng.random() < 0.5
    key = (float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.1, 0.7)), 1.0)
    fill = (-key[0], 0.1, 1.0)
    return Look(TONES[rng.integers(len(TONES))], HAIR[rng.integers(len(HAIR))],
                IRIS[rng.integers(len(IRIS))], "BC"[rng.integers(2)] if man else "A",
                "B" if man else "A", float(rng.uniform(0.1, 0.6)) if man else 0.0,
                float(rng.uniform(0.25, 0.4)),
                ((key, float(rng.uniform(0.5, 0.8))), (fill, float(rng.uniform(0.1, 0.3)))),
                tuple(int(v) for v in rng.integers(90, 190, 3)), seed)


def camera_at(yaw: float, pitch: float, size: int, distance: float = DISTANCE) -> Camera:
    """A camera in the pack's frame, cm; degrees, yaw 0 looks the face in the eye, yaw > 0 from the
    head's own left, pitch > 0 from above."""
    y, p = np.radians(yaw), np.radians(pitch)
    d = np.array([np.sin(y) * np.cos(p), np.sin(p), np.cos(y) * np.cos(p)])
    return Camera.from_fov(look_at_matrix(CENTER + distance * d, CENTER, (0, 1, 0)),
                           FOV_X, size, size)


def _fan(face_len, face_flat) -> np.ndarray:
    """(T, 3) triangles of triangles and quads."""
    face_len = np.asarray(face_len, np.int64)
    start = np.cumsum(face_len) - face_len
    quads = start[face_len == 4]
    return np.asarray(face_flat)[np.concatenate([start[:, None] + (0, 1, 2),
                                                 quads[:, None] + (0, 2, 3)])]


def _normals(v, tri) -> np.ndarray:
    cross = np.cross(v[tri[:, 1]] - v[tri[:, 0]], v[tri[:, 2]] - v[tri[:, 0]])
    n = np.stack([np.bincount(tri.reshape(-1), np.repeat(cross[:, k], 3), len(v))
                  for k in range(3)], 1)
    length = np.linalg.norm(n, axis=1, keepdims=True)
    return n / np.where(length > 0, length, 1)
