"""A neural swap that is the same from every side: `uv+NAME`.

Neural swappers see one picture at a time, so their faces differ from view to view, and beyond some
60 degrees they fail. Here the swapper works on a few frontal views only; what it made of them is
averaged on the fitted mesh, and that one texture is painted into all views, profiles included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ...data.dataset import Frame
from ...errors import IdfError, shorten
from ...face import topology
from ...face.color import feather, fill_rings, masked_blur, rgb_to_lab
from ...face.mesh import FaceMesh
from ...runtime.files import write_text
from ...runtime.registry import Entry
from ..mesh.bake import BakeConfig, FaceTexture, _alpha
from ..mesh.source_visibility import bare_skin, features
from ..mesh.uv_atlas import head_axes, load_views, make_chart, mean_colors, spread_views
from ..result import SwapResult
from ..swappers import UvSwapper, fitted_to_video, fitted_to_views

NOTE_FILE = "hybrid.txt"  # in the run folder: what the neural swapper did


@dataclass(frozen=True)
class HybridConfig:
    """How the neural swap is taken over.

    views: most pictures that the neural swapper is given, the most frontal ones, spread.
    max_angle: degrees between the face's front and the camera of such a picture, (0, 60].
    enough: fewer swapped views than this are an error, >= 1.
    """

    views: int = 6
    max_angle: float = 30.0
    enough: int = 1


@dataclass(frozen=True, eq=False)
class HybridSwapper(UvSwapper):
    """The mesh with the neural swapper's faces as its texture.

    name: of the backend. note: what the report says of the neural part.
    """

    name: str = "uv+"
    note: str = ""

    source_type = "compositeWithTrainedAlgorithmicMedia"
    merges = False


class HybridMethod:
    """The method `uv+NAME`. inner: the neural method's entry in the table."""

    def __init__(self, inner: Entry):
        self.inner = inner
        self.name = f"uv+{self.inner.name}"

    def settings(self) -> dict:
        return UvSwapper.settings() | {"hybrid": asdict(HybridConfig()),
                                       self.inner.name: self.inner.load().settings()}

    def prepare(self, frames: Sequence[Frame], sources, folder, progress, config
                ) -> HybridSwapper:
        if not frames:
            raise IdfError(f"The swap backend `{self.name}` needs several views of one head",
                           "one picture", f"use --backend {self.inner.name}")
        return self._made(fitted_to_views, frames, sources, folder, progress, config)

    def for_video(self, clip, sources, folder, progress, config) -> HybridSwapper:
        return self._made(fitted_to_video, clip, sources, folder, progress, config)

    def _made(self, fit, views, sources, folder, progress, config) -> HybridSwapper:
        said = []

        def paint(mesh, frames, shapes):
            mesh, texture, note = self._paint(mesh, frames, shapes, sources, progress, config)
            said.append(note)
            return mesh, texture

        fields = fit(views, folder, progress, paint)
        if folder is not None and said:
            write_text(folder / NOTE_FILE, said[0])
        elif folder is not None and (folder / NOTE_FILE).is_file():  # made by an earlier try
            said = [(folder / NOTE_FILE).read_text(encoding="utf-8")]
        return HybridSwapper(**fields, name=self.name, note="".join(said))

    def _paint(self, mesh, frames, shapes, sources, progress, config):
        """The mesh to draw, the texture, and what was done, for the report."""
        if shapes is None:
            mesh = close_openings(mesh)
        neural = self.inner.load().prepare([], sources, None, progress, config)
        keys = key_views(mesh, frames)
        swapped, results = {}, []
        for i in keys:
            result = neural(frames[i].image(), frames[i].camera)
            results.append(result)
            if result.status == "swapped":
                swapped[i] = result
            progress(f"{self.inner.name} on frontal views", len(results) / len(keys))
        if len(swapped) < HybridConfig().enough:
            raise IdfError(f"{self.inner.name} swapped none of the {len(keys)} frontal views",
                           shorten(sorted({f"{r.status}: {r.reason}" for r in results})),
                           f"try --backend {self.inner.name} to see what it makes of the frames")
        return mesh, bake_swapped(mesh, frames, swapped, shapes), "; ".join(filter(None, (
            f"{self.inner.name} on {len(swapped)} views within "
            f"{HybridConfig().max_angle:.0f} degrees of the front", getattr(neural, "note", ""))))


def key_views(mesh: FaceMesh, frames: Sequence[Frame],
              config: HybridConfig = HybridConfig()) -> list[int]:
    """Numbers of the frames for the neural swapper: frontal, spread over directions. IdfError where
    no view is frontal enough."""
    front = head_axes(mesh.vertices)[0]
    d = np.stack([f.camera.position for f in frames]) - mesh.vertices.mean(0)
    angle = np.degrees(np.arccos(np.clip(d @ front / np.linalg.norm(d, axis=1), -1, 1)))
    near = np.flatnonzero((angle <= config.max_angle) & mesh.inliers)
    if not len(near):
        raise IdfError("No view shows the face from the front",
                       f"the nearest is {angle.min():.0f} degrees away",
                       f"add views within {config.max_angle:.0f} degrees, or use --backend uv")
    return [int(i) for i in spread_views(mesh.vertices, [f.camera for f in frames], near,
                                         config.views)]


def close_openings(mesh: FaceMesh) -> FaceMesh:
    """The mesh with eyes and mouth covered: a neural swap makes those new too, and on a head that
    keeps still they can be painted as they are."""
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
    """The texture that the swapped views make together.

    frames: that the mesh was fitted to. swapped: by their numbers. shapes: vertices of the face in
    every frame where it moves; then eyes and mouth stay the frames' own.
    """
    keys, config = sorted(swapped), BakeConfig()
    moved = None if shapes is None else [shapes[i] for i in keys]

    def seen_as(picture):
        """Mean colors of one kind of picture of these views."""
        kept = [_Picture(frames[i].camera, picture(i)) for i in keys]
        return load_views(mesh, kept, range(len(kept)), config.max_face, shapes=moved)

    views = seen_as(lambda i: swapped[i].image)
    if not views:
        raise IdfError("No view shows the face that was fitted", f"{len(keys)} views",
                       "check that the cameras belong to the pictures")
    chart = make_chart(mesh, 1 / (config.scale * max(v.scale for v in views)))
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
        alpha = _alpha(mesh, chart.uv, covered, taken, face, config)
    else:
        rim = fill_rings([chart.uv[topology.FACE_OVAL]], *seen.shape) > 0.5
        alpha = feather(rim, config.border * face) * masked_blur(taken, covered, 0.02 * face)
    rgb = np.where(seen[..., None], colors, masked_blur(colors, seen, 0.05 * face))
    rgba = np.concatenate([rgb, 255 * alpha[..., None]], -1)
    guard = np.concatenate([old, 255 * (skin > 0.5)[..., None]], -1)
    return FaceTexture(chart.uv, *(np.clip(np.rint(a), 0, 255).astype(np.uint8)
                                   for a in (rgba, guard)))
