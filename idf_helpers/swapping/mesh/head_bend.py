"""A head bent toward other proportions, alike in all views.

The face mesh knows where its own points go. Jaw, ears, hair and neck come along by a field of
motion in space, the smoothest that agrees with the mesh, at rest at the back of the head and
beyond its surroundings. A picture shows the field where the mesh, or the rough shape of the head
around it, is seen through each pixel; so neighboring views bend alike, and views from behind not at
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np

from ...data.cameras import Camera
from ...data.sequence import farthest_first
from ...face import topology
from ...face.color import blur, smoothstep
from ...face.landmarks import FaceLandmarks
from ...face.mesh import FaceMesh, ring_strip, vertex_normals
from ...face.raster import rasterize
from ...face.shape_fit import FittedFace, fit_picture
from ...kernels.compile import exact_kernel
from .head_hull import CELL, CENTER, HIGH, LOW, RADII, UNITS, head_hull
from .proportions import EXPRESSIVE, proportions, with_lids
from .uv_atlas import head_axes

# Lengths are shares of the face's width, places in the head's axes (left, up, front) from the
# middle between the ears.
PORTRAIT = 10.0  # how far from the camera a portrait is taken, about 1.4 m
REACH, FADE = 1.2, 0.5  # from the middle of the face to where nothing moves, over which that ends
BACK = (-0.5, 0.0)  # where motion begins toward the front, and from where on it is whole
AWAY = 0.3  # distance from the head at which motion of the background has ended
BORDER = 0.12  # over which motion ends at the picture's border: beyond is nothing to fetch
CONTROLS, ANCHORS = 90, 36  # points of the mesh that carry the field; at rest around the head
SMOOTHING = 0.3  # of the radial basis functions, per cent of the width
# Degrees between the face's front and the camera beyond which a view bends less, and not at all:
# from behind no face is swapped, and its frames stay as they are. Little of the motion is seen from
# there anyway.
TURNED = (140.0, 160.0)
STEP = 1 / 32  # of the grid on which the motion in a picture is computed
LEAST = 0.012  # pixels of motion that count; OpenCV fetches at multiples of 1/32

@cache
def _closed() -> np.ndarray:
    """Return the mesh without openings, wound alike throughout."""
    own = {(int(t[k]), int(t[(k + 1) % 3])) for t in topology.TRIANGLES for k in range(3)}
    strips = []
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH):
        strip = ring_strip(ring)
        strips.append(strip[:, ::-1] if (int(ring[0]), int(ring[1])) in own else strip)
    return np.concatenate([topology.TRIANGLES, *strips])


def fit_mesh(mesh: FaceMesh) -> tuple[FittedFace, np.ndarray]:
    """Return the linear model fitted to a mesh as a camera before it sees it, and the matrix (3, 3)
    that takes the model's directions and lengths, cm, to the world."""
    front, up, _ = head_axes(mesh.vertices)
    middle = mesh.vertices.mean(0)
    distance = 6.0 * mesh.width
    camera = Camera.look_at(middle + distance * front, middle, up, np.radians(30), 512, 512)
    xy, z = camera.project(mesh.vertices)
    points = np.column_stack([xy, (z - z.mean()) * camera.fx / distance]).astype(np.float32)
    fitted = fit_picture(FaceLandmarks(points, 1.0, 1.0), 512, 512)
    turn = camera.c2w[:3, :3] @ fitted.pose[:3, :3]
    return fitted, turn * (distance / -fitted.pose[2, 3])


def mesh_at_rest(mesh: FaceMesh) -> np.ndarray:
    """Return (468, 3) the vertices of a mesh without what mouth, jaw, cheeks and nose do."""
    fitted, to_world = fit_mesh(mesh)
    moved = np.tensordot(fitted.weight_of(*EXPRESSIVE), fitted.fitter.shapes, 1)
    return mesh.vertices - moved @ to_world.T


def toward_sources(mesh: FaceMesh, sources: Sequence, amount: float = 1.0, frames=()) -> HeadBend:
    """Return how a head moves toward the proportions of a person.

    sources: `SourceFace`s of one person; photos taken from the side show less and count less.
    amount: share of the way, in [0, 1]. frames: as for `HeadBend.of`.
    """
    trust = [np.cos(np.radians(min(abs(s.landmarks.yaw), 80.0))) ** 4 for s in sources]
    # A photo enlarges what is near its camera: the head is compared as one would show it.
    rest, front = mesh_at_rest(mesh), head_axes(mesh.vertices)[0]
    away = rest - rest.mean(0)
    ahead = away @ front
    nearer = (PORTRAIT * mesh.width / (PORTRAIT * mesh.width - ahead))[:, None]
    shown = (away - np.outer(ahead, front)) * nearer + np.outer(ahead, front)
    motion = proportions(shown, [s.rest for s in sources], amount, trust)
    across = motion - np.outer(motion @ front, front)
    return HeadBend.of(mesh, motion + across * (1 / nearer - 1), frames)


@dataclass(frozen=True, eq=False)
class HeadBend:
    """How a head moves toward other proportions.

    motion: (468, 3) of the mesh's vertices, world units. nodes: (M, 3) and values: (M + 1, 3) of
    the field that leads back (the last value is its constant). hull: see `head_hull`. axes: (3, 3)
    rows are the head's left, up and front; origin: (3,) middle between the ears; middle: (3,) of
    the face; width: of the face.
    """

    motion: np.ndarray
    nodes: np.ndarray
    values: np.ndarray
    hull: np.ndarray
    axes: np.ndarray
    origin: np.ndarray
    middle: np.ndarray
    width: float

    @classmethod
    def of(cls, mesh: FaceMesh, motion: np.ndarray, frames=()) -> HeadBend:
        """Return the bend of the head that a mesh is the face of. motion: (468, 3) world units.
        frames: views of the head, of whose outlines its shape is made where it keeps still."""
        front, up, left = head_axes(mesh.vertices)
        axes = np.stack([left, up, front])
        v, width = mesh.vertices, mesh.width
        origin = v[[topology.FACE_LEFT, topology.FACE_RIGHT]].mean(0)
        middle = v.mean(0)
        inner = farthest_first(lambda i: np.linalg.norm(v - v[i], axis=1), topology.NOSE_TIP,
                               CONTROLS)
        chosen = np.union1d(inner, topology.FACE_OVAL)
        ball = _sphere(ANCHORS)
        around = middle + REACH * width * ball @ axes
        skull = CENTER + RADII * ball
        behind = origin + width * skull[skull[:, 2] < BACK[0]] @ axes
        nodes = np.concatenate([v[chosen] + motion[chosen], around, behind])
        wanted = np.zeros((len(nodes) + 1, 3))
        wanted[:len(chosen)] = -motion[chosen]
        n, unit = len(nodes), width / 100
        system = np.ones((n + 1, n + 1))
        system[:n, :n] = SMOOTHING * np.eye(n) \
            - np.linalg.norm(nodes[:, None] - nodes[None], axis=-1) / unit
        system[n, n] = 0
        values = np.linalg.solve(system, wanted)
        values[:n] /= unit
        hull = head_hull(frames, v, axes, origin, width)
        return cls(motion, nodes, values, hull, axes, origin, middle, width)

    def amount(self, position) -> float:
        """Return the share of the bend in a view from a place in the world, in [0, 1]."""
        d = position - self.middle
        angle = np.degrees(np.arccos(np.clip(d @ self.axes[2] / np.linalg.norm(d), -1, 1)))
        return float(1 - smoothstep((angle - TURNED[0]) / (TURNED[1] - TURNED[0])))

    def moved(self, mesh: FaceMesh, amount: float) -> FaceMesh:
        """Return the mesh, or one of the same head with another expression, bent."""
        vertices = mesh.vertices + with_lids(mesh.vertices, amount * self.motion)
        return replace(mesh, vertices=vertices, normals=vertex_normals(vertices))

    def of_view(self, image: np.ndarray, camera: Camera, mesh: FaceMesh
                ) -> tuple[np.ndarray, FaceMesh, np.ndarray]:
        """Return a picture of the bent head, the bent mesh, and where the picture changed, (H, W)
        bool.

        image: (H, W, 3|4) uint8, seen by `camera`; alpha bends too, since outlines move. mesh: the
        face in it.
        """
        changed = np.zeros(image.shape[:2], bool)
        amount = self.amount(camera.position)
        moved = self.moved(mesh, amount)
        after, z = camera.project(moved.vertices)
        if amount == 0 or (z <= 0).any():
            return image, moved, changed
        before, _ = camera.project(mesh.vertices)
        size = self.width * 0.5 * (camera.fx + camera.fy) / float(np.median(z))
        center = after.mean(0)
        low = np.maximum(np.floor(center - REACH * size), 0).astype(int)
        high = np.minimum(np.ceil(center + REACH * size), image.shape[1::-1]).astype(int)
        if (high - low < 8).any():
            return image, moved, changed
        grid, cell = self._shift(camera, before, after, z, amount, size, low, high)
        some = np.argwhere(cv2.max(np.abs(grid[..., 0]), np.abs(grid[..., 1])) > LEAST)
        if not len(some):
            return image, moved, changed
        # Only the part that moves, a cell more on each side.
        top = np.maximum(some.min(0) - 1, 0)
        grid = grid[top[0]:some[:, 0].max() + 2, top[1]:some[:, 1].max() + 2]
        start = np.maximum(np.ceil(low + top[::-1] * cell).astype(int), low)
        stop = np.minimum((low + (top[::-1] + grid.shape[1::-1]) * cell).astype(int), high)
        shift = _enlarged(grid, (start - low) / cell - top[::-1], cell, stop - start)
        box = (slice(start[1], stop[1]), slice(start[0], stop[0]))
        moves = cv2.max(np.abs(shift[..., 0]), np.abs(shift[..., 1])) > LEAST
        changed[box] = moves
        out = image.copy()
        out[box] = cv2.copyTo(_fetch(image, shift, start), moves.astype(np.uint8),
                              image[box].copy())
        return out, moved, changed

    def _shift(self, camera, before, after, z, amount, size, low, high):
        """From where each cell of the window low..high is fetched, (rows, columns, 2) float32
        pixels, and the size of a cell (2,)."""
        w, h = high - low
        step = max(2.0, STEP * size)
        rows, columns = int(np.ceil(h / step)), int(np.ceil(w / step))
        cell = np.array([w / columns, h / rows])
        p = after[_closed()]
        a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
        # What looks away from the camera lies behind the head: y points down.
        seen = _closed()[a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0]
        shift, ids, _ = rasterize(seen, (after - low) / cell, z, before - after, rows, columns,
                                  perspective=True)
        x = (low[0] + cell[0] * (np.arange(columns) + 0.5) - camera.cx) / camera.fx
        y = (low[1] + cell[1] * (np.arange(rows) + 0.5) - camera.cy) / camera.fy
        # The head's axes and lengths: the field is the same for all cameras there.
        turn = self.axes @ camera.w2c_cv[:3, :3].T  # camera's directions to the head's
        eye = self.axes @ (camera.position - self.origin) / self.width
        _around(shift, ids, x, y, turn, eye, self.hull, self._in_head(self.nodes),
                (self.values @ self.axes.T) / self.width, self._in_head(self.middle[None])[0],
                np.array([camera.fx, camera.fy]), self.width, amount)
        border = np.minimum(
            np.minimum(x - (0.5 - camera.cx) / camera.fx,
                       (camera.width - 0.5 - camera.cx) / camera.fx - x)[None] * camera.fx,
            np.minimum(y - (0.5 - camera.cy) / camera.fy,
                       (camera.height - 0.5 - camera.cy) / camera.fy - y)[:, None] * camera.fy)
        shift *= smoothstep(border / (BORDER * size))[..., None].astype(np.float32)
        return blur(shift, 0.7), cell

    def _in_head(self, points) -> np.ndarray:
        return (points - self.origin) @ self.axes.T / self.width


def _sphere(count: int) -> np.ndarray:
    """(count, 3) unit vectors, spread evenly (Fibonacci)."""
    k = np.arange(count) + 0.5
    z, turn = 1 - 2 * k / count, np.pi * (1 + 5**0.5) * k
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], 1)


def _enlarged(grid, first, cell, size) -> np.ndarray:
    """(h, w, 2) float32: the grid's values at pixels; first: (x, y) of the first pixel's corner, in
    cells."""
    x, y = (np.float32(first[k] + (np.arange(size[k]) + 0.5) / cell[k] - 0.5) for k in (0, 1))
    return cv2.remap(grid, *np.meshgrid(x, y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _fetch(image, shift, corner) -> np.ndarray:
    """(h, w, C) uint8: the picture's colors at the window's pixels moved by `shift`."""
    h, w = shift.shape[:2]
    at = shift + np.stack(np.meshgrid(np.arange(corner[0], corner[0] + w, dtype=np.float32),
                                      np.arange(corner[1], corner[1] + h, dtype=np.float32)), -1)
    if image.shape[2] == 3:
        return cv2.remap(image, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # Colors by their share, so that no background bleeds in.
    part = cv2.copyTo(image, image[..., 3])  # nothing where nothing is
    soft = (part[..., 3] > 0) & (part[..., 3] < 255)
    part[soft, :3] = np.rint(part[soft, :3] * (part[soft, 3:] / np.float32(255)))
    out = cv2.remap(part, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    soft = (out[..., 3] < 255) & (out[..., 3] > 0)
    colors = out[soft, :3] * (np.float32(255) / out[soft, 3:])
    out[soft, :3] = np.minimum(np.rint(colors), 255)
    return out


@exact_kernel
def _around(shift, ids, x, y, turn, eye, hull, nodes, values, middle, focal, width, amount):
    """Fill in the shift where the mesh does not cover a cell (ids < 0). Lengths in widths."""
    d, p, e = np.empty(3), np.empty(3), np.empty(3)
    count = len(nodes)
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            if ids[i, j] >= 0:
                continue
            near, far, length = 0.0, np.inf, 0.0
            for k in range(3):  # the ray, where it runs through the grid
                d[k] = turn[k, 0] * x[j] + turn[k, 1] * y[i] + turn[k, 2]
                length += d[k] * d[k]
                a, b = (LOW[k] - eye[k]) / d[k], (HIGH[k] - CELL - eye[k]) / d[k]
                near, far = max(near, min(a, b)), min(far, max(a, b))
            if near >= far:
                continue
            t, gap = _nearest(hull, eye, d, near, far, np.sqrt(length))
            away = 0.0
            for k in range(3):
                p[k] = eye[k] + t * d[k]
                away += (p[k] - middle[k]) ** 2
                e[k] = values[count, k]
            fade = _ramp((REACH - np.sqrt(away)) / FADE) \
                * _ramp((p[2] - BACK[0]) / (BACK[1] - BACK[0])) * _ramp(1 - gap / AWAY) * amount
            if fade <= 0:
                continue
            for n in range(count):
                r = np.sqrt((p[0] - nodes[n, 0]) ** 2 + (p[1] - nodes[n, 1]) ** 2
                            + (p[2] - nodes[n, 2]) ** 2)
                for k in range(3):
                    e[k] -= values[n, k] * r * width
            px = py = pz = 0.0  # the moved point, in the camera's axes
            for k in range(3):
                v = p[k] + fade * e[k] - eye[k]
                px, py, pz = px + turn[k, 0] * v, py + turn[k, 1] * v, pz + turn[k, 2] * v
            if pz > 0:
                shift[i, j, 0] = focal[0] * (px / pz - x[j])
                shift[i, j, 1] = focal[1] * (py / pz - y[i])


@exact_kernel
def _nearest(hull, eye, d, near, far, length):
    """Where a ray meets the hull, or passes it nearest, in multiples of d; and how far beside."""
    t, best, at = near, np.inf, near
    before, last = near, np.inf
    for _ in range(200):
        gap = _distance(hull, eye[0] + t * d[0], eye[1] + t * d[1], eye[2] + t * d[2])
        if gap < best:
            best, at = gap, t
        if gap <= 0:
            if last < np.inf:
                at = before + (t - before) * last / (last - gap)
            return at, 0.0
        before, last = t, gap
        t += max(0.8 * gap, 0.25 * CELL) / length
        if t > far:
            break
    return at, best


@exact_kernel
def _distance(hull, x, y, z):
    """Distance from the hull at a place inside the grid, linear between its points."""
    u, v, w = (x - LOW[0]) / CELL, (y - LOW[1]) / CELL, (z - LOW[2]) / CELL
    i = min(max(int(u), 0), hull.shape[0] - 2)
    j = min(max(int(v), 0), hull.shape[1] - 2)
    k = min(max(int(w), 0), hull.shape[2] - 2)
    u, v, w = u - i, v - j, w - k
    out = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                out += (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w) \
                    * hull[i + a, j + b, k + c]
    return out / UNITS


@exact_kernel
def _ramp(x):
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)
