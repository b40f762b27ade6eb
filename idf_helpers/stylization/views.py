"""A dataset's frames as views for stylists and propagators: in the order of the turn, with the
depth of a reconstruction, loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..data.cameras import scene_frame
from ..data.dataset import Dataset, Frame
from ..data.media import over, resize_area
from ..data.sequence import natural_key
from ..errors import IdfError, shorten
from ..reconstruction.surface_views import SceneSurface
from . import measures
from .stylist import View
from .surface import SOLID, nearest_fill, normals

KEPT = 64  # views in memory
OFFSETS = (-0.01, -0.005, 0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05)  # scene radii
PAIRS = 5  # of neighbors that offsets of the depth are tried on
WORTH = 0.97  # share of the error that an offset must come below
BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "gray": (0.5, 0.5, 0.5), "black": (0.0, 0.0, 0.0)}


def in_order(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames by the numbers in their names: r_2 before r_10, held-out ones where they
    belong."""
    return sorted(frames, key=lambda f: natural_key(f.name))


def check_one_size(frames: Sequence[Frame], what: str) -> None:
    """Raise IdfError where pictures differ in size. what: needs them equal, for the message."""
    sizes = {(f.camera.width, f.camera.height): f.name for f in frames}
    if len(sizes) > 1:
        raise IdfError(f"The pictures differ in size, and {what} needs pictures of one size",
                       shorten(f"{name} {w}x{h}" for (w, h), name in sizes.items()),
                       "restyle with a preset and without --keys, which takes any, or give the "
                       "pictures of one camera")


class DatasetViews(Sequence):
    """views[i] is frame i of `in_order`, as a `View` over a plain background.

    scene: reconstruction that gives depth and normals, None = none. resolution: longer side in
    pixels, None = as the pictures are. bare: colors of half-covered pixels as they are in the
    file, carried beyond the outline, in place of a background (for pointwise stylists).
    """

    def __init__(self, dataset: Dataset, scene=None, resolution: int | None = None,
                 background: str = "white", bare: bool = False):
        if background not in BACKGROUNDS:
            raise IdfError("This background is unknown", f"{background!r}",
                           f"use one of: {', '.join(BACKGROUNDS)}")
        self.frames = in_order(dataset.frames)
        self.scene, self.resolution = scene, resolution
        self.background, self.bare = BACKGROUNDS[background], bare
        self.depth_offset = 0.0  # world units, taken from the scene's depth; see `settle_depth`
        self._view = lru_cache(KEPT)(self._load)

    def settle_depth(self) -> float:
        """Find by how much the scene's depth lies behind the surface, and take it off from now
        on; the offset in world units.

        Carried to a neighbor by a depth that is right, the source pictures agree best. Splats need
        no offset: their fused surface lies where their outlines say.
        """
        if self.scene is None or len(self) < 3 or self.surface.fused is not None:
            return 0.0
        frame = scene_frame([f.camera for f in self.frames])
        steps = np.array(OFFSETS) * frame.radius
        pairs = self._neighbors(frame.center)
        views = {k: self[k] for pair in pairs for k in pair}
        errors = []
        for offset in steps:
            moved = {k: replace(v, depth=v.depth - np.float32(offset)) for k, v in views.items()}
            errors.append(measures.warp_error(moved, {k: v.source() for k, v in moved.items()}, 1,
                                              pairs=pairs))
        best, plain = int(np.argmin(errors)), errors[OFFSETS.index(0.0)]
        if np.isfinite(errors[best]) and errors[best] < WORTH * plain:
            self.depth_offset = float(steps[best])
            self._view.cache_clear()
        return self.depth_offset

    def _neighbors(self, center) -> list[tuple[int, int]]:
        """Return a few pairs of views some 30 degrees apart."""
        d = np.array([f.camera.position - center for f in self.frames])
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        chosen = np.unique(np.linspace(0, len(self) - 1, PAIRS, endpoint=False).astype(int))
        angles = np.degrees(np.arccos(np.clip(d[chosen] @ d.T, -1, 1)))
        angles[np.arange(len(chosen)), chosen] = 1e3  # not with itself
        return [(int(i), int(np.abs(a - 30).argmin())) for i, a in zip(chosen, angles, strict=True)]

    @cached_property
    def surface(self) -> SceneSurface:
        """What the scene shows of its surface; of splats it is fused from views, in seconds."""
        return SceneSurface(self.scene, [f.camera for f in self.frames])

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> View:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._view(index % len(self))

    @property
    def names(self) -> list[str]:
        return [Path(f.name).as_posix() for f in self.frames]

    def _load(self, index: int) -> View:
        frame = self.frames[index]
        camera = frame.camera.fitted(self.resolution)
        image = resize_area(frame.image(), camera.width, camera.height)
        opaque = image.shape[2] == 3
        mask = np.ones(image.shape[:2], np.float32) if opaque else \
            image[..., 3].astype(np.float32) / 255
        if self.bare and not opaque:
            rgb = nearest_fill(image[..., :3], mask > 0.5)
        else:
            rgb = (over(image, self.background) * 255 + 0.5).astype(np.uint8)
        depth = normal = confidence = None
        if self.scene is not None:
            seen = self.surface.view(camera)
            depth, confidence = seen.depth - np.float32(self.depth_offset), seen.confidence
            if opaque:  # the reconstruction knows the head, the picture does not
                depth = np.where(np.isfinite(depth), depth, np.nan)
            depth = np.where(mask >= 0.5, depth, np.nan).astype(np.float32)
            solid = np.isfinite(depth)
            if solid.any() and not opaque:  # specks where the reconstruction is thin
                depth = np.where(mask >= SOLID, nearest_fill(depth, solid), depth)
            normal = normals(depth, camera)
        return View(rgb, mask, depth, normal, camera, frame.name, confidence=confidence)
