"""A neural swap that is the same from every side: `uv+NAME`.

Neural swappers see one picture at a time, so their faces differ from view to view, and beyond some
60 degrees they fail. Here the swapper works on a few frontal views only; what it made of them is
averaged on the fitted mesh, and that one texture is painted into all views, profiles included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...data.dataset import Frame
from ...errors import IdfError, shorten
from ...face import topology
from ...face.color import feather, fill_rings, masked_blur, rgb_to_lab
from ...face.mesh import FaceMesh
from ...provenance.lineage import TRAINED_COMPOSITE
from ...runtime.files import write_text
from ...runtime.registry import Entry
from ..mesh.bake import BORDER, MAX_FACE, SCALE, FaceTexture, source_share
from ..mesh.source_visibility import bare_skin, features
from ..mesh.uv_atlas import head_axes, load_views, make_chart, mean_colors, spread_views
from ..result import SwapResult
from ..swapper import SwapMethod
from ..uv_method import UvSwapper, fitted_to_video, fitted_to_views

NOTE_FILE = "hybrid.txt"  # in the run folder: what the neural swapper did


# How many pictures the neural swapper is given at most, the most frontal ones, spread; and the
# degrees between the face's front and the camera of such a picture.
KEY_VIEWS, MAX_ANGLE = 6, 30.0


@dataclass(frozen=True, eq=False)
class HybridSwapper(UvSwapper):
    """The mesh with the neural swapper's faces as its texture.

    name: of the method. note: what the report adds about the neural part.
    """

    name: str = "uv+"
    note: str = ""

    source_type = TRAINED_COMPOSITE
    merges = False


class HybridMethod(SwapMethod):
    """`uv+NAME`. inner: the neural method's entry in the table."""

    def __init__(self, inner: Entry):
        super().__init__(f"uv+{inner.name}")
        self.inner = inner

    def identity(self) -> dict:
        return {self.inner.name: self.inner.load().identity()}

    def prepare(self, frames, sources, folder, reporter, config) -> HybridSwapper:
        if not frames:
            raise IdfError(f"The swap method `{self.name}` needs several views of one head",
                           "one picture", f"use --backend {self.inner.name}")
        return self._swapper(fitted_to_views, frames, sources, folder, reporter, config)

    def prepare_video(self, clip, sources, folder, reporter, config) -> HybridSwapper:
        return self._swapper(fitted_to_video, clip, sources, folder, reporter, config)

    def _swapper(self, fit, views, sources, folder, reporter, config) -> HybridSwapper:
        notes = []

        def paint(mesh, frames, shapes, irises):
            mesh, texture, note = self._paint(mesh, frames, shapes, sources, reporter, config)
            notes.append(note)
            return mesh, texture

        fitted = fit(views, folder, reporter, paint)
        if folder is not None and notes:
            write_text(folder / NOTE_FILE, notes[0])
        elif folder is not None and (folder / NOTE_FILE).is_file():  # of an earlier try
            notes = [(folder / NOTE_FILE).read_text(encoding="utf-8")]
        return HybridSwapper(fitted, name=self.name, note="".join(notes))

    def _paint(self, mesh, frames, shapes, sources, reporter, config):
        """Return the mesh to draw, the texture, and the figures for the report."""
        if shapes is None:
            mesh = close_openings(mesh)
        neural = self.inner.load().prepare([], sources, None, reporter, config)
        keys = key_views(mesh, frames)
        swapped, results = {}, []
        for i in keys:
            result = neural(frames[i].image(), frames[i].camera)
            results.append(result)
            if result.status == "swapped":
                swapped[i] = result
            reporter.step(f"{self.inner.name} on frontal views", len(results) / len(keys))
        if not swapped:
            raise IdfError(f"{self.inner.name} swapped none of the {len(keys)} frontal views",
                           shorten(sorted({f"{r.status}: {r.reason}" for r in results})),
                           f"try --backend {self.inner.name} to see what it makes of the frames")
        return mesh, bake_swapped(mesh, frames, swapped, shapes), "; ".join(filter(None, (
            f"{self.inner.name} on {len(swapped)} views within {MAX_ANGLE:.0f} degrees of the "
            "front", neural.note)))


def key_views(mesh: FaceMesh, frames: Sequence[Frame]) -> list[int]:
    """Return the numbers of the frames for the neural swapper: frontal, spread over directions.
    IdfError where no view is frontal enough."""
    front = head_axes(mesh.vertices)[0]
    d = np.stack([f.camera.position for f in frames]) - mesh.vertices.mean(0)
    angle = np.degrees(np.arccos(np.clip(d @ front / np.linalg.norm(d, axis=1), -1, 1)))
    near = np.flatnonzero((angle <= MAX_ANGLE) & mesh.inliers)
    if not len(near):
        raise IdfError("No view shows the face from the front",
                       f"the nearest is {angle.min():.0f} degrees away",
                       f"add views within {MAX_ANGLE:.0f} degrees, or use --backend uv")
    return [int(i) for i in spread_views(mesh.vertices, [f.camera for f in frames], near,
                                         KEY_VIEWS)]


def close_openings(mesh: FaceMesh) -> FaceMesh:
    """Return the mesh with eyes and mouth covered: a neural swap makes those new too, and on a head
    that keeps still they can be painted as they are."""
    fans = []
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH):
        fan = np.array([(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)])
        a, b, c = (mesh.vertices[fan[:, k]] for k in range(3))
        if np.cross(b - a, c - a).sum(0) @ mesh.normals[ring].mean(0) < 0:  # seen from inside
            fan = fan[:, ::-1]
        fans.append(fan.astype(mesh.triangles.dtype))
    return replace(mesh, triangles=np.concatenate([mesh.triangles, *fans]))


@dataclass(frozen=True, eq=False)
class _Picture:
    """A frame with another picture in its place."""

    camera: object
    picture: np.ndarray

    def image(self) -> np.ndarray:
        return self.picture


def bake_swapped(mesh: FaceMesh, frames: Sequence[Frame], swapped: dict[int, SwapResult],
                 shapes=None) -> FaceTexture:
    """Return the texture that the swapped views make together.

    frames: that the mesh was fitted to. swapped: by their numbers. shapes: vertices of the face in
    every frame where it moves; then eyes and mouth stay the frames' own.
    """
    keys = sorted(swapped)
    moved = None if shapes is None else [shapes[i] for i in keys]

    def seen_as(picture):
        """Return mean colors of one kind of picture of these views."""
        kept = [_Picture(frames[i].camera, picture(i)) for i in keys]
        return load_views(mesh, kept, range(len(kept)), MAX_FACE, shapes=moved)

    views = seen_as(lambda i: swapped[i].image)
    if not views:
        raise IdfError("No view shows the face that was fitted", f"{len(keys)} views",
                       "check that the cameras belong to the pictures")
    chart = make_chart(mesh, 1 / (SCALE * max(v.scale for v in views)))
    colors, seen = mean_colors(mesh, chart, views)

    def share(i):  # the mask as a picture, with the frame's own alpha
        gray = np.rint(255 * swapped[i].mask).astype(np.uint8)
        alpha = swapped[i].image[..., 3] if swapped[i].image.shape[2] == 4 else \
            np.full_like(gray, 255)
        return np.dstack([gray, gray, gray, alpha])

    taken = mean_colors(mesh, chart, seen_as(share))[0][..., 0] / 255 * seen
    old = mean_colors(mesh, chart, seen_as(lambda i: frames[i].image()))[0]
    face, covered = chart.face, chart.covered.astype(np.float32)
    skin = bare_skin(rgb_to_lab(old / 255), seen.astype(np.float32), chart.uv) \
        * ~features(chart.uv, *seen.shape, face)
    if shapes is not None:
        alpha, whole = (source_share(mesh, chart.uv, covered, t, face) for t in (taken, covered))
    else:
        whole = feather(fill_rings([chart.uv[topology.FACE_OVAL]], *seen.shape) > 0.5,
                        BORDER * face)
        alpha = whole * masked_blur(taken, covered, 0.02 * face)
    rgb = np.where(seen[..., None], colors, masked_blur(colors, seen, 0.05 * face))
    rgba = np.concatenate([rgb, 255 * alpha[..., None]], -1)
    guard = np.concatenate([old, 255 * (skin > 0.5)[..., None]], -1)
    shown = 255 * np.dstack([alpha, whole])
    return FaceTexture(chart.uv, *(np.clip(np.rint(a), 0, 255).astype(np.uint8)
                                   for a in (rgba, guard, shown)), np.zeros((0, 3)))
