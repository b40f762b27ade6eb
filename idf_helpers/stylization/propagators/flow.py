"""Propagation by optical flow: for successive pictures, without cameras or depth.

The source pictures' flow (DIS, Kroeger et al., ECCV 2016, as in OpenCV) is chained from a frame to
the key before it and the key after it; both keys are carried over and cross-faded. A turntable
closes: after its last key comes its first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np

from ..stylist import View
from .propagator import Propagator, StyledFrame

KEPT = 24  # flow fields in memory


class Chain:
    """Flow from any frame of a sequence to any other, by way of those between."""

    def __init__(self, views: Sequence[View]):
        self.views = views
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.step = lru_cache(KEPT)(self._step)

    def _step(self, a: int, b: int) -> np.ndarray:
        """Return (H, W, 2) float32: where in frame b each pixel of frame a lies, relative."""
        gray = [cv2.cvtColor((self.views[k].source() * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
                for k in (a, b)]
        return self._dis.calc(gray[0], gray[1], None)

    def places(self, start: int, end: int, direction: int) -> np.ndarray:
        """Return (H, W, 2) float32: where in frame `end` each pixel of `start` lies, absolute.

        direction: +1 or -1, the way round.
        """
        h, w = self.views[start].mask.shape
        at = np.stack(np.meshgrid(np.arange(w, dtype=np.float32),
                                  np.arange(h, dtype=np.float32)), -1)
        k = start
        while k != end:
            following = (k + direction) % len(self.views)
            at = at + cv2.remap(self.step(k, following), at[..., 0], at[..., 1],
                                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            k = following
        return at

    def carried(self, picture: np.ndarray, key: int, target: int, direction: int) -> np.ndarray:
        """Return the picture of frame `key`, (H, W[, C]), as frame `target` sees it.

        direction: from the target to the key.
        """
        at = self.places(target, key, direction)
        return cv2.remap(picture, at[..., 0], at[..., 1], cv2.INTER_CUBIC,
                         borderMode=cv2.BORDER_REPLICATE)


class FlowPropagator(Propagator):
    """Propagation by optical flow; needs neither cameras nor depth."""

    name = "flow"

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray]):
        super().__init__(views, keys)
        self.chain = Chain(views)

    def frame(self, index: int) -> StyledFrame:
        if index in self.keys:
            return StyledFrame(self.keys[index])
        before, after, t = self.neighbors(index)
        parts = [(1 - t, before, -1), (t, after, +1)]
        total = sum(w * self.chain.carried(self.keys[k], k, index, d) for w, k, d in parts if w > 0)
        return StyledFrame(np.clip(total, 0, 1).astype(np.float32))
