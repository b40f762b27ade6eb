"""The source's proportions: a target's face, bent a little toward the shape of the source's.

A texture alone leaves the target's nose and the distance of its eyes. Here the mesh moves toward
the source's shape, and the frame is bent along with it before the texture is painted, so that eyes,
mouth and the outline of the nose, which stay the target's own pixels, lie where the mesh has them.
The motion is one of the mesh in space, so all views agree on it; it ends at the rim of the face,
so jaw, ears and hair keep their place.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...face import topology
from ...face.color import blur, masked_blur, smoothstep
from ...face.mesh import FaceMesh
from ...face.raster import rasterize
from .mesh_tracking import neighbor_mean
from .uv_atlas import head_axes

LIMIT = 0.05  # most that a point moves, share of the face's width: beyond it looks like a mask
RIM = 0.22  # width of the fade toward the rim of the face, share of its width
DEPTH = 0.5  # share of the depth that is believed: one photo shows it badly


def toward_source(mesh: FaceMesh, sources, share: float = 1.0) -> np.ndarray:
    """Return (468, 3) motion of the vertices, world units.

    sources: `SourceFace`s of one person; photos taken from the side show less and count less.
    share: of the way, in [0, 1].

    Each photo's points, turned and scaled onto the mesh (Umeyama 1991), differ from it by shape,
    expression and the error of the landmarks. Only what is the same on both sides of the face and
    smooth from point to point is kept: proportions are, a smile's corner or a raised lip is not.
    """
    front, up, left = head_axes(mesh.vertices)
    axes = np.stack([left, up, front])
    V = mesh.vertices @ axes.T
    total, weight = np.zeros_like(V), 0.0
    for source in sources:
        p = np.asarray(source.landmarks.points, np.float64) * (1, -1, -1)
        w = float(np.cos(np.radians(min(abs(source.landmarks.yaw), 89.0))) ** 4)
        total += w * (_onto(p, V) - V)
        weight += w
    D = total / max(weight, 1e-9)
    D = 0.5 * (D + D[topology.MIRROR] * (-1, 1, 1))
    D[:, 2] *= DEPTH
    for _ in range(4):
        D = 0.5 * D + 0.5 * neighbor_mean(D)
    # Lips go up or down as one: they must not open, or the target's own would show between them.
    D[topology.INNER_MOUTH, 1] = D[topology.INNER_MOUTH, 1].mean()
    D *= share * _inside(mesh)[:, None]
    length = np.linalg.norm(D, axis=1, keepdims=True)
    most = LIMIT * mesh.width
    D *= most * np.tanh(length / most) / np.maximum(length, 1e-12)
    return D @ axes


def _onto(p: np.ndarray, V: np.ndarray) -> np.ndarray:
    """`p` (468, 3) under the similarity that lays it onto `V` (468, 3) best."""
    a, b = p - p.mean(0), V - V.mean(0)
    U, S, Wt = np.linalg.svd(b.T @ a)
    sign = np.diag([1, 1, np.sign(np.linalg.det(U @ Wt))])
    R = U @ sign @ Wt
    scale = np.trace(np.diag(S) @ sign) / (a**2).sum()
    return scale * a @ R.T + V.mean(0)


def _inside(mesh: FaceMesh) -> np.ndarray:
    """(468,) in [0, 1]: 0 on the rim of the face, 1 beyond `RIM` from it."""
    rim = mesh.vertices[topology.FACE_OVAL]
    distance = np.linalg.norm(mesh.vertices[:, None] - rim, axis=-1).min(1)
    return smoothstep(distance / (RIM * mesh.width))


def bend(image: np.ndarray, camera, mesh: FaceMesh, moved: FaceMesh
         ) -> tuple[np.ndarray, np.ndarray]:
    """Return the frame with its face bent from `mesh` to `moved`, and where it changed, (H, W)
    bool.

    image: (H, W, 3|4) uint8; alpha bends too, since a nose's outline moves.
    """
    before, _ = camera.project(mesh.vertices)
    after, z = camera.project(moved.vertices)
    if (z <= 0).any():
        return image, np.zeros(image.shape[:2], bool)
    size = mesh.width * 0.5 * (camera.fx + camera.fy) / float(np.median(z))
    gap = 0.15 * size
    both = np.concatenate([before, after])
    lo = np.maximum(np.floor(both.min(0) - gap), 0).astype(int)
    hi = np.minimum(np.ceil(both.max(0) + gap), (camera.width, camera.height)).astype(int)
    if (hi - lo < 4).any():
        return image, np.zeros(image.shape[:2], bool)
    w, h = hi - lo
    # Where each pixel's color came from: known on the mesh, and carried on beyond it, fading.
    shift, ids, _ = rasterize(mesh.triangles, after - lo, z, before - after, h, w, perspective=True)
    known = (ids >= 0).astype(np.float32)
    near = masked_blur(shift, known, 0.03 * size)
    fade = np.clip(2 * blur(known, 0.05 * size), 0, 1)
    shift = (near * smoothstep(fade)[..., None]).astype(np.float32)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    part = image[lo[1]:hi[1], lo[0]:hi[0]].astype(np.float32)
    if image.shape[2] == 4:  # colors by their share, so that no background bleeds in
        part[..., :3] *= part[..., 3:] / 255
    part = cv2.remap(part, x + shift[..., 0], y + shift[..., 1], cv2.INTER_CUBIC,
                     borderMode=cv2.BORDER_REPLICATE)
    part = np.clip(part, 0, 255)
    if image.shape[2] == 4:
        part[..., :3] *= 255 / np.maximum(part[..., 3:], 1)
    changed = np.zeros(image.shape[:2], bool)
    moves = np.abs(shift).max(-1) > 0.02
    changed[lo[1]:hi[1], lo[0]:hi[0]] = moves
    out = image.copy()
    out[changed] = np.clip(np.rint(part[moves]), 0, 255).astype(np.uint8)
    return out, changed
