"""Propagation by patches: each frame is made of patches of the keys before and after it whose
source looks alike, and the two are cross-faded. What EbSynth does, without its program; where there
is depth, it guides too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...data.cameras import scene_frame
from ..stylist import View
from ..surface import SOLID, nearest_fill
from .geometry import guide_of
from .patchmatch import Source, synthesize
from .propagator import Propagator, StyledFrame
from .silhouette import outline


class PatchmatchPropagator(Propagator):
    """Propagation by patches of the key views."""

    name = "patchmatch"

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray]):
        super().__init__(views, keys)
        cameras = [views[k].camera for k in self.keys]
        self.scene = scene_frame(cameras) if all(c is not None for c in cameras) else None
        self._sources: dict[int, Source] = {}

    def frame(self, index: int) -> StyledFrame:
        view = self.views[index]
        if index in self.keys:
            return StyledFrame(nearest_fill(self.keys[index], view.mask >= SOLID))
        before, after, t = self.neighbors(index)
        parts = [(1 - t, before), (t, after)]
        total = sum(w * self._synthesized(view, k) for w, k in parts if w > 0)
        return StyledFrame(np.clip(total, 0, 1).astype(np.float32))

    def _source(self, key: int) -> Source:
        if key not in self._sources:
            view, picture = self.views[key], self.keys[key]
            usable = (view.mask >= SOLID) & outline(view, picture).usable
            self._sources[key] = Source(nearest_fill(picture, usable),
                                        guide_of(view, self.scene), usable)
        return self._sources[key]

    def _synthesized(self, view: View, key: int) -> np.ndarray:
        blank = np.full((*view.mask.shape, 3), np.nan, np.float32)
        made = synthesize([self._source(key)], guide_of(view, self.scene), blank, view.mask > 0)
        return nearest_fill(made, view.mask > 0)
