"""The stylist `exemplar`: one view that was painted over by hand, carried to the other views.

Where another view sees the same surface it takes the painted color from there; where it does not,
colors come in patches from places of the painted view whose source looks alike (see
`patchmatch.py`). It works view after view (mode anchored), each seeing those before it, so that the
back of the head is made up once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...data.cameras import scene_frame
from ...data.media import over, read_image
from ...errors import IdfError
from ...runtime.files import sha256_file
from ..config import ExemplarConfig
from ..propagators.geometry import fill_holes
from ..reproject import TOLERANCE, Key, reproject
from ..stylist import Reference, Stylist, View, scaled
from ..surface import SOLID, nearest_fill

# On the back of a head neither place nor direction are like those of the painted side.
GUIDING = {"normal_weight": 0.05, "place_weight": 0.12, "ratios": True, "even": 0.008}
SHAPE = 0.02  # the exemplar's aspect ratio may differ by this share


class ExemplarStylist(Stylist):
    """A painted view, carried to the others.

    `strength` mixes the painting with the view; the seed has no effect on the colors that the
    painted view shows.
    """

    name = "exemplar"
    config_type = ExemplarConfig
    source_type = "compositeSynthetic"
    reads_references = True
    from_first = True
    default_strength = 1.0

    def __init__(self, config: ExemplarConfig):
        super().__init__(config)
        if config.exemplar is None:
            raise IdfError("The stylist `exemplar` needs a painted view", "no exemplar",
                           "paint over one of the dataset's pictures and give it with --exemplar")
        self.image = read_image(config.exemplar, "exemplar")
        self.view: View | None = None
        self.picture: np.ndarray | None = None
        self._key: Key | None = None

    def settings(self) -> dict:
        return {"exemplar_sha256": sha256_file(self.config.exemplar)}

    def key_frame(self, names: Sequence[str]) -> str | None:
        """Return the name of the frame that the exemplar shows, by its file name; None = the frame
        in front."""
        stem = self.config.exemplar.stem
        return next((n for n in names if Path(n).name == stem), None)

    def prepare(self, views: Sequence[View]) -> None:
        """Take the painting's view, which is the first, and the scale of the scene."""
        self.view = view = views[0]
        w, h = view.size
        got_w, got_h = self.image.shape[1], self.image.shape[0]
        if abs(got_w / got_h - w / h) > SHAPE * w / h:
            raise IdfError(f"The exemplar {self.config.exemplar} has another shape than the view "
                           f"{view.name}", f"{got_w}x{got_h}, the view {w}x{h}",
                           "paint on the view itself, uncropped")
        self.picture = scaled(over(self.image), w, h)
        self.scene = scene_frame([v.camera for v in views]) if view.camera is not None else None
        self.tolerance = TOLERANCE * (self.scene.radius if self.scene else 1)
        if view.depth is not None:
            self._key = Key.of(view, self.picture, self.tolerance)

    def stylize(self, view: View, prompt: str = "", seed: int = 0, strength: float = 1.0,
                references: Sequence[Reference] = ()) -> np.ndarray:
        if self.view is None:
            raise IdfError("The stylist `exemplar` has not seen the views", "no prepare() before",
                           "call prepare(views), the painted one first")
        rgb = view.source()
        if view.name == self.view.name:
            styled = self.picture
        else:
            styled = self._carried(view, seed, references)
        return rgb + np.float32(strength) * (styled - rgb)

    def _carried(self, view: View, seed: int, references) -> np.ndarray:
        head = view.mask > 0
        keys = [] if self._key is None else [self._key]
        keys += [Key.of(r.view, r.picture, self.tolerance) for r in references
                 if r.view.name != self.view.name and r.view.depth is not None]
        if view.depth is None or not keys:
            rgb, hole = np.zeros_like(view.source()), head
        else:
            # the painting itself counts alone where it is seen well; what was made up after it
            first = reproject(view, keys[:1], self.tolerance)
            rest = reproject(view, keys, self.tolerance)
            trust = np.clip((first.cosine - 0.25) / 0.35, 0, 1)[..., None]
            rgb, hole = trust * first.rgb + (1 - trust) * rest.rgb, head & ~rest.known
        bank = [(self.view, nearest_fill(self.picture, self.view.mask >= SOLID),
                 self.view.mask >= SOLID)]
        filled = fill_holes(view, rgb, hole, bank, self.scene, seed, **GUIDING)
        return np.where(head[..., None], nearest_fill(filled, head), view.source())
