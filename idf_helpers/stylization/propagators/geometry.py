"""Propagation through the scene's depth: every frame takes its colors from the key views that see
the same surface; what none sees is synthesized from patches of the keys.

Where a stylist drew beyond the head's outline there is no depth. There the pictures' optical flow
carries what it drew, its outline included, to the frames near that key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ...data.cameras import scene_frame
from ...errors import IdfError
from ..reproject import TOLERANCE, Key, reproject
from ..stylist import View
from ..surface import SOLID, extended, nearest_fill, normals, points
from .flow import Chain
from .harmonize import color_corrections
from .patchmatch import EVEN, Source, synthesize
from .propagator import Propagator, StyledFrame
from .silhouette import outline

SOURCES = 2  # keys that holes are filled from: the nearest ones
TINY = 12  # pixels of a hole that is filled with what lies beside it
NORMAL_WEIGHT = 0.25  # of the guides, against a source color's 1
PLACE_WEIGHT = 0.5  # per scene radius
DARKEST = 0.06  # added to colors before their logarithm


class GeometryPropagator(Propagator):
    """Propagation through the scene's depth; the views must have depth and cameras.

    harmonize: bring the keys to one color where they see the same surface.
    """

    name = "geometry"

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray],
                 harmonize: bool = True):
        super().__init__(views, keys)
        lacking = [views[k].name for k in self.index if views[k].depth is None]
        if lacking:
            raise IdfError("The propagator `geometry` needs the depth of every view",
                           f"none for {lacking[0]}", "give a reconstruction, or use `flow`")
        self.scene = scene_frame([views[k].camera for k in range(len(views))])
        self.tolerance = TOLERANCE * self.scene.radius
        self.key_views = [views[k] for k in self.index]
        self.pictures = [self.keys[k] for k in self.index]
        self.outlines = [outline(v, p) for v, p in zip(self.key_views, self.pictures, strict=True)]
        self.samples = self._sampled(self.pictures)
        if harmonize and len(self.samples) > 1:
            gain, offset = color_corrections(self.key_views, self.samples, self.pictures,
                                              self.tolerance)
            self.pictures = [np.clip(p * g + o, 0, 1).astype(np.float32)
                             for p, g, o in zip(self.pictures, gain, offset, strict=True)]
            self.samples = self._sampled(self.pictures)
        self.grown = any((o.grown > 0.5).any() for o in self.outlines)
        self.chain = Chain(views)

    def _sampled(self, pictures) -> list[Key]:
        return [Key.of(v, p, self.tolerance, o.usable) for v, p, o in
                zip(self.key_views, pictures, self.outlines, strict=True)]

    def frame(self, index: int) -> StyledFrame:
        """Return the view in the style; a key view as it was styled, in the common color."""
        view = self.views[index]
        if index in self.index:
            k = self.index.index(index)
            line = self.outlines[k]
            if line.usable.all():
                rgb = np.where((line.grown > 0.5)[..., None], self.pictures[k],
                               self.samples[k].picture)
                return StyledFrame(rgb, np.maximum(view.mask, line.grown) if self.grown else None,
                                  1.0)
        warped = reproject(view, self.samples, self.tolerance)
        head = view.mask > 0
        hole = head & ~warped.known
        seen = 1 - float(hole.sum()) / max(1, int(head.sum()))
        rgb = fill_holes(view, warped.rgb, hole, self._sources(view), self.scene)
        rgb = nearest_fill(rgb, head)
        return self._with_growth(index, StyledFrame(rgb, None, seen))

    def _sources(self, view: View) -> list[tuple[View, np.ndarray, np.ndarray]]:
        """Return the nearest keys by viewing direction: (view, styled picture, usable)."""
        toward = [float(view.camera.forward @ v.camera.forward) for v in self.key_views]
        nearest = sorted(range(len(self.samples)), key=lambda k: -toward[k])[:SOURCES]
        return [(self.key_views[k], self.samples[k].picture, self.samples[k].trust > 0)
                for k in sorted(nearest)]

    def _with_growth(self, index: int, made: StyledFrame) -> StyledFrame:
        """Add what the two neighboring keys have beyond their outline, carried by flow."""
        if not self.grown:
            return made
        view = self.views[index]
        a, b, t = self.neighbors(index)
        total, color = np.zeros(view.mask.shape, np.float32), np.zeros_like(made.rgb)
        for key, share, direction in ((a, 1 - t, -1), (b, t, +1)):
            k = self.index.index(key)
            grown = self.outlines[k].grown
            if share <= 0 or not (grown > 0.5).any():
                continue
            at = self._flow_beyond(index, key, direction)
            there = cv2.remap(grown, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
            inked = nearest_fill(self.pictures[k], (grown > 0.5) | (self.key_views[k].mask > 0.5))
            total += share * there
            color += (share * there)[..., None] * cv2.remap(inked, at[..., 0], at[..., 1],
                                                             cv2.INTER_LINEAR)
        extra = np.clip((total - 0.25) * 2, 0, 1) * (1 - view.mask)
        rgb = np.where((extra > 0)[..., None], color / np.maximum(total, 1e-6)[..., None], made.rgb)
        return StyledFrame(np.clip(rgb, 0, 1).astype(np.float32),
                          np.clip(view.mask + extra, 0, 1).astype(np.float32), made.seen)

    def _flow_beyond(self, index: int, key: int, direction: int) -> np.ndarray:
        """Return places in the key; beyond the outline, where a plain background has no flow, those
        of the nearest pixel of the head, moved along."""
        at = self.chain.places(index, key, direction)
        h, w = at.shape[:2]
        grid = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1).astype(np.float32)
        return grid + nearest_fill(at - grid, self.views[index].mask > SOLID)


def fill_holes(view: View, rgb: np.ndarray, hole: np.ndarray,
               sources: list[tuple[View, np.ndarray, np.ndarray]], scene, seed: int = 0,
               even: float = EVEN, **guiding) -> np.ndarray:
    """Return rgb (H, W, 3) with the pixels of `hole` (H, W) bool made from patches of `sources`.

    sources: (view, its styled picture, its usable pixels). Specks take the color beside them.
    even: see `synthesize`. guiding: how `guide_of` weighs.
    """
    head = view.mask > 0
    if not hole.any():
        return rgb
    count, label, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] > TINY
    large[0] = False
    wanted = large[label] & hole
    known = head & ~hole
    if known.any():
        rgb = np.where((hole & ~wanted)[..., None], nearest_fill(rgb, known), rgb)
    if not wanted.any():
        return rgb
    target = np.where((head & ~wanted)[..., None], rgb, np.nan).astype(np.float32)
    bank = [Source(p, guide_of(v, scene, **guiding), (v.mask >= SOLID) & ok)
            for v, p, ok in sources]
    made = synthesize(bank, guide_of(view, scene, **guiding), target, wanted, seed, even=even)
    return np.where(wanted[..., None], made, rgb).astype(np.float32)


def guide_of(view: View, scene, normal_weight: float = NORMAL_WEIGHT,
             place_weight: float = PLACE_WEIGHT, ratios: bool = False) -> np.ndarray:
    """Return the guide of patches, (H, W, 9) float32: the source's color, the surface's normal and
    its place in the world, in scene radii; without depth (H, W, 3), the color alone.

    ratios: compare colors by their ratios, so that skin in the shade is nearer to skin in the
    light than to dark hair.
    """
    solid = view.mask >= SOLID
    rgb = nearest_fill(view.source(), solid) if solid.any() else view.source()
    if ratios:
        rgb = 0.35 * np.log(rgb + DARKEST)  # again about one wide
    if view.depth is None or view.camera is None:
        return np.asarray(rgb, np.float32)
    depth = np.nan_to_num(extended(view.depth, view.mask))
    normal = view.normal if view.normal is not None else normals(view.depth, view.camera)
    c2w = view.camera.c2w
    world_normal = normal @ c2w[:3, :3].T
    p = points(depth, view.camera) * (1, -1, -1)
    place = (p @ c2w[:3, :3].T + c2w[:3, 3] - scene.center) / scene.radius
    return np.concatenate([rgb, normal_weight * world_normal, place_weight * place],
                          -1).astype(np.float32)
