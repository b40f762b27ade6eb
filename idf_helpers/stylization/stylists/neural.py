"""The stylist `neural`: a view in the manner of a painting or photo, by small networks on a CPU.

A first network (Ghiasi et al. 2017, arXiv:1705.06830) reads a style picture into 100 numbers, a
second one paints a view by them; the numbers of several pictures can be mixed, and those of the
views themselves are "no style", so that `strength` goes all the way between the two. A third one
(Dumoulin et al. 2017, arXiv:1610.07629) knows 26 styles without names, and mixes these.

All views are painted by one rule (see `style_network.py`), over one plain color around the head:
the mean of the head itself. The background has no part in the style, and leaves no rim.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import IdfError, shorten
from ...provenance.lineage import TRAINED_COMPOSITE
from ...runtime import download
from ...runtime.files import sha256_file
from ...swapping.neural.onnx_file import OnnxNet, Slot
from ..config import NeuralConfig
from ..stylist import Reference, Stylist, View, scaled
from ..surface import SOLID, nearest_fill
from . import neural_files, style_pictures
from .style_network import StyleNetwork

SIDE = 256  # of a style picture, as the network takes it
SMALLEST = 384  # longer side that a view is painted at, at least: what the networks were made for
EDGE = 0.05  # mask from which a pixel shows the head, not what is around it
OWN = 4  # views whose own style is measured


class NeuralStylist(Stylist):
    """Views in the manner of pictures. `strength`: 0 is the views' own style, 1 the pictures'."""

    name = "neural"
    config_type = NeuralConfig
    source_type = TRAINED_COMPOSITE
    from_first = True
    default_strength = 1.0

    def __init__(self, config: NeuralConfig):
        super().__init__(config)
        self.styles = style_pictures.parse(config.style)
        self.pictures = [style_pictures.read(s.file, SIDE) for s in self.styles if s.file]
        folder, pins = download.path(neural_files.NEURAL_STYLE), neural_files.NEURAL_STYLE.pins
        files = {p.file: download.located(folder, p) for p in pins}
        self._reader = OnnxNet(files[neural_files.PREDICT], (Slot("", (None, SIDE, SIDE, 3)),))
        self._network = StyleNetwork(
            files[neural_files.TRANSFORM if self.pictures else neural_files.FIXED])
        self._around: np.ndarray | None = None
        self._own: np.ndarray | None = None
        self._means: dict[float, dict] = {}
        self._seen: list[np.ndarray] = []

    def settings(self) -> dict:
        return {"styles": [{"name": s.name, "weight": round(s.weight, 4),
                            **({"sha256": sha256_file(s.file)} if s.file else {})}
                           for s in self.styles],
                "networks": {p.file: p.sha256 for p in neural_files.NEURAL_STYLE.pins}}

    def prepare(self, views: Sequence[View]) -> None:
        """Measure what the rule for all views depends on: their colors, their own style."""
        if len(sizes := {v.size for v in views}) > 1:
            raise IdfError("The views to be painted differ in size",
                           shorten(f"{w}x{h}" for w, h in sorted(sizes)),
                           "give views of one size, e.g. with --resolution")
        solid = [v.source()[v.mask >= SOLID] for v in views]
        if not sum(map(len, solid)):
            raise IdfError("No view shows a head to paint", f"{len(views)} views",
                           "use pictures with alpha, in which the head is not empty")
        self._around = np.concatenate(solid).mean(0, dtype=np.float64).astype(np.float32)
        self._seen, self._means = [self._canvas(v) for v in views], {}
        if self.pictures:
            chosen = np.linspace(0, len(views), min(OWN, len(views)), endpoint=False).astype(int)
            self._own = np.mean([self._read(scaled(self._seen[i], SIDE, SIDE)) for i in chosen], 0)
            self._goal = sum(s.weight * self._read(p)
                             for s, p in zip(self.styles, self.pictures, strict=True))

    def stylize(self, view: View, prompt: str = "", seed: int = 0, strength: float = 1.0,
                references: Sequence[Reference] = ()) -> np.ndarray:
        if self._around is None:
            self.prepare([view])
        style = self._mixed(strength)
        if strength not in self._means:
            self._means[strength] = self._network.measure(self._seen, style)
        painted = scaled(self._network.paint(self._canvas(view), style, self._means[strength]),
                         *view.size)
        if not self.pictures:  # its styles know no zero
            painted = (1 - np.float32(strength)) * _inside(view) + np.float32(strength) * painted
        # half-covered pixels show as much of what lies behind the head as before
        return view.source() + view.mask[..., None] * (painted - _inside(view))

    def _mixed(self, strength: float) -> np.ndarray:
        """Return what tells the network how to paint."""
        if self.pictures:
            return strength * self._goal + (1 - strength) * self._own
        shares = np.zeros(style_pictures.FIXED, np.float32)
        for s in self.styles:
            shares[s.number] += s.weight
        return shares

    def _read(self, square: np.ndarray) -> np.ndarray:
        """(SIDE, SIDE, 3) -> (100,): the style of a picture."""
        return self._reader({"": square[None]}).ravel()

    def _canvas(self, view: View) -> np.ndarray:
        """Return the view at the size it is painted at, one color around the head."""
        rgb = np.where((view.mask >= EDGE)[..., None], _inside(view), self._around)
        factor = 1.0 if self.config.size else max(1.0, SMALLEST / max(view.size))
        return scaled(rgb.astype(np.float32), *(round(factor * n) for n in view.size))


def _inside(view: View) -> np.ndarray:
    """Return (H, W, 3) float32: the head's own colors, carried on beyond its outline."""
    solid = view.mask >= SOLID
    return nearest_fill(view.source(), solid) if solid.any() else view.source()
