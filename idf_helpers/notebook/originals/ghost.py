"""GHOST in a notebook: its files fetched by a button, then a picture for each of its steps."""

from __future__ import annotations

import cv2
import numpy as np

from ... import provenance
from ...data.contact_sheet import contact_sheet
from ...data.media import over, to_uint8
from ...data.sequence import frames_by_yaw
from ...runtime import download
from ...swapping.job import read_sources
from ...swapping.metrics import cosine
from ...swapping.neural.align import five_points
from ...swapping.neural.ghost_align import CROP, POSES
from ...swapping.neural.ghost_walk import GhostWalk
from ...swapping.neural.model_files import SWAP_FILES, lacks_ghost
from ..widgets import Panel

CELL = 224  # width of a picture, pixels
# Weights are 4 bytes a number; nobody published the sizes of the files.
SIZES = {"ghost_code": "25 kB", "ghost_backbone": "about 260 MB", "ghost": "about 740 MB",
         "ghost_1block": "about 510 MB", "ghost_3blocks": "about 960 MB"}
GREEN, ORANGE = (60, 220, 120), (255, 150, 40)


class FetchGhost(Panel):
    """Show what GHOST consists of, with sizes and licenses, and fetch it when the button is
    pressed. name: `ghost`, `ghost_1block` or `ghost_3blocks`."""

    action = "Fetch GHOST (about 1 GB)"

    def __init__(self, name: str = "ghost"):
        self.name = name
        super().__init__()
        lack = lacks_ghost(name)
        self.write(f"not here yet: {lack}" if lack else "GHOST is here")

    def controls(self) -> list:
        return []

    def table(self) -> str:
        """Return files, sizes and licenses as HTML."""
        model = SWAP_FILES[self.name]
        rows = "".join(f"<tr><td>{m.name}</td><td style='text-align:left'>{m.purpose}</td>"
                       f"<td>{SIZES[m.name]}</td><td style='text-align:left'>{m.license}</td></tr>"
                       for m in (*model.needs, model))
        return ("<table><tr><th>file</th><th style='text-align:left'>what it does</th><th>size</th>"
                f"<th style='text-align:left'>license</th></tr>{rows}</table>")

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        display(HTML(self.table()))  # no widget: a saved notebook shows it, too
        super()._ipython_display_()

    def work(self) -> None:
        """Fetch what is missing. IdfError where that fails."""
        download.ensure(SWAP_FILES[self.name], self._say)
        self.bar.value = 1.0
        self.write("GHOST is here; run the cells below again to see it at work")

    def _say(self, model) -> bool:
        self.write(f"fetching {model.name}, {SIZES[model.name]} …")
        return True


class GhostPictures:
    """The pictures of a `GhostWalk`, one for each step, (H, W, 3) uint8; they are of what the panel
    holds when they are asked for.

    panel: a `SwapPanel`: its photo, one view of its target, its consent. yaw: degrees, of the view.
    name: see `GhostWalk`. IdfError: bad photo, no face, no consent.
    """

    def __init__(self, panel, yaw: float = 15, name: str = "ghost"):
        self.panel, self.yaw, self.name = panel, yaw, name
        self._walk: GhostWalk | None = None
        self._of: tuple = ()

    @property
    def walk(self) -> GhostWalk:
        """The steps."""
        lack = lacks_ghost(self.name)
        asked = (self.panel.source, self.panel.target.root, self.panel.consent.value, lack)
        if self._walk is None or self._of != asked:
            (_, frame), = frames_by_yaw(self.panel.target.frames, [self.yaw])
            photos, (source, *_) = read_sources(self.panel.source, None)
            provenance.require_consent(self.panel.consent.value, photos, [frame.path])
            self._walk, self._of = GhostWalk(source, frame.image(), self.name), asked
        return self._walk

    def align(self) -> np.ndarray:
        """Return the target with its five points, its square, and the pose that was nearest."""
        walk = self.walk
        return contact_sheet(
            [_with_square(walk.image, walk.face, walk.aligned.matrix),
             _with_points(walk.aligned.crop, _moved(walk.face, walk.aligned.matrix))], 2, CELL,
            ["target and its square", "upright, 224 x 224"])

    def embed(self) -> np.ndarray:
        """Return what the recognizer sees and the numbers it gives, for both faces."""
        walk = self.walk
        crops = [walk.aligned_photo.crop, walk.aligned.crop]
        if walk.embedding is None or walk.target_embedding is None:
            return contact_sheet(crops, 2, CELL, [
                "photo, as ArcFace would see it; its weights are not here",
                "target, as ArcFace would see it"])
        both = [walk.embedding, walk.target_embedding]
        scale = max(float(np.abs(e).max()) for e in both)
        tiles = [_tiles(e / scale) for e in both]
        return contact_sheet([crops[0], tiles[0], crops[1], tiles[1]], 4, CELL,
                             ["photo", "its 512 numbers", "target",
                              f"its 512 numbers, cosine to the photo's {cosine(*both):.2f}"])

    def generate(self) -> np.ndarray:
        """Return the square before and after the generator."""
        walk = self.walk
        return contact_sheet([walk.aligned.crop, walk.generated], 2, CELL,
                             ["what goes in", walk.maker])

    def mask(self) -> np.ndarray:
        """Return where the new face goes, and the new face cut out by it."""
        walk = self.walk
        gray = np.repeat(walk.mask[..., None], 3, axis=2)
        cut = walk.generated / 255 * gray + 1 - gray
        erosion, sigma, _ = walk.params
        return contact_sheet(
            [gray, cut], 2, CELL,
            [f"hull of 106 landmarks, {'shrunk' if erosion > 0 else 'grown'} by {abs(erosion)} "
             f"pixels, blurred by {sigma}", "what it keeps"])

    def blend(self) -> np.ndarray:
        """Return the picture before, after, and how much of each pixel is new."""
        walk = self.walk
        share = np.repeat(walk.share[..., None], 3, axis=2)
        said = ["target", walk.maker]
        if walk.embedding is not None and walk.result_embedding is not None:
            said = [f"{words}, cosine to the photo {cosine(walk.embedding, e):.2f}" for words, e in
                    zip(said, (walk.target_embedding, walk.result_embedding), strict=True)]
        return contact_sheet([walk.image, walk.blend, share], 3, CELL,
                             [*said, "share of the new face"])


def _with_square(image: np.ndarray, face, matrix: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the picture with the square that is cut out and the five points."""
    rgb = np.ascontiguousarray(to_uint8(over(image)))
    back = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [CROP, 0], [CROP, CROP], [0, CROP]]) @ back[:, :2].T + back[:, 2]
    thick = max(1, round(rgb.shape[1] / 200))
    cv2.polylines(rgb, [corners.round().astype(np.int32)], True, ORANGE, thick, cv2.LINE_AA)
    for x, y in five_points(face.points):
        cv2.circle(rgb, (round(x), round(y)), 2 * thick, GREEN, -1, cv2.LINE_AA)
    return rgb


def _moved(face, matrix: np.ndarray) -> np.ndarray:
    """(5, 2) points of the face in pixels of the square."""
    return five_points(face.points) @ matrix[:, :2].T + matrix[:, 2]


def _with_points(crop: np.ndarray, five: np.ndarray) -> np.ndarray:
    """(448, 448, 3) uint8: the square, the face's points filled, those of the nearest pose as
    rings."""
    out = cv2.resize(crop, (2 * CROP, 2 * CROP), interpolation=cv2.INTER_LINEAR)
    poses = POSES * (CROP // 112)
    goal = poses[np.argmin([np.linalg.norm(five - p, axis=1).sum() for p in poses])]
    for (x, y), (u, v) in zip(2 * five, 2 * goal, strict=True):
        cv2.circle(out, (round(float(x)), round(float(y))), 4, GREEN, -1, cv2.LINE_AA)
        cv2.circle(out, (round(float(u)), round(float(v))), 10, ORANGE, 2, cv2.LINE_AA)
    return out


def _tiles(values: np.ndarray) -> np.ndarray:
    """(CELL, CELL, 3) float32: 512 numbers in [-1, 1] as tiles, blue below 0 and orange above."""
    grid = values.reshape(16, 32)[..., None]
    blue, orange = np.array([0.1, 0.3, 0.7]), np.array([0.8, 0.35, 0.05])
    color = 1 - np.clip(grid, 0, 1) * (1 - orange) - np.clip(-grid, 0, 1) * (1 - blue)
    return cv2.resize(color.astype(np.float32), (CELL, CELL), interpolation=cv2.INTER_NEAREST)
