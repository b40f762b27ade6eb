"""What cameras, light and files do to people's photos, applied to a clean picture.

Each case names the clean photo that it starts from (rendered: expression, pose, light, what is
worn) and gives the bytes of a file. Deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIZE, QUALITY = 220, 85  # of a photo whose fault is another one


@dataclass(frozen=True)
class Case:
    """photo: name of the clean photo. change: (H, W, 3) uint8 RGB -> the same kind. size: pixels of
    the longer side, None = as it is, as a PNG. quality: of the JPEG."""

    photo: str = "rest"
    change: Callable[[np.ndarray], np.ndarray] | None = None
    size: int | None = SIZE
    quality: int = QUALITY

    def file(self, picture: np.ndarray) -> tuple[str, bytes]:
        """Return the suffix and the bytes of the photo's file."""
        if self.change is not None:
            picture = self.change(picture)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        if self.size is None:
            return ".png", cv2.imencode(".png", bgr)[1].tobytes()
        scale = self.size / max(bgr.shape[:2])
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        how = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        return ".jpg", cv2.imencode(".jpg", bgr, how)[1].tobytes()


def gray(picture: np.ndarray) -> np.ndarray:
    """Return the picture without color, in three channels."""
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def dark(picture: np.ndarray) -> np.ndarray:
    """Return the picture three stops darker, with the noise of a sensor."""
    light = _linear(picture) / 8
    noise = np.random.default_rng(0).normal(size=light.shape)
    return _encoded(light + noise * np.sqrt(light * 2e-4 + 1e-6))


def warm(picture: np.ndarray) -> np.ndarray:
    """Return the picture as under bulbs with the white balance of daylight."""
    return _encoded(_linear(picture) * (1.30, 0.95, 0.42))


def close_up(picture: np.ndarray) -> np.ndarray:
    """Return the middle of the picture, so that a face of use is left in a tiny one."""
    h, w = (round(0.09 * x) for x in picture.shape[:2])
    return np.ascontiguousarray(picture[h:-h, w:-w])


def tilted(picture: np.ndarray) -> np.ndarray:
    """Return the picture turned by 35 degrees, what is beyond its border as at the border."""
    h, w = picture.shape[:2]
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), 35, 0.85)
    return cv2.warpAffine(picture, turn, (w, h), flags=cv2.INTER_AREA,
                          borderMode=cv2.BORDER_REPLICATE)


def _linear(picture: np.ndarray) -> np.ndarray:
    c = picture.astype(np.float64) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _encoded(light: np.ndarray) -> np.ndarray:
    c = np.clip(light, 0, 1)
    c = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return np.round(255 * c).astype(np.uint8)


CLEAN = "clean"
CASES = {
    CLEAN: Case(size=None),
    "250 px": Case(size=250, quality=75),
    "180 px": Case(size=180, quality=75),
    "120 px": Case(size=120, quality=75),
    "90 px": Case(change=close_up, size=90, quality=75),
    "turned 20": Case("turned"),
    "open smile": Case("smile"),
    "smile, turned": Case("smile_turned"),
    "side light": Case("side_light"),
    "gray": Case(change=gray),
    "dark": Case(change=dark),
    "tilted 35": Case(change=tilted),
    "warm": Case(change=warm),
    "glasses": Case("glasses"),
    "fringe": Case("fringe"),
}
