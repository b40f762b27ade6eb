"""The person in a picture, hair included: MediaPipe's selfie segmentation, sharpened.

The network (Apache-2.0, 0.25 MB, run by OpenCV) tells a person from the background at 256x256. What
lies between sure and not sure is decided by the colors: by where a pixel's color lies between
those of the person and of the background nearby (matting), smoothed along the edges of the picture
(guided filter, He et al. 2010).
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from ..data.media import over_gray
from ..errors import IdfError
from ..runtime import download
from .downloads import PERSON_MASK

SIZE = 256  # px, the network's input
SURE = (0.08, 0.92)  # probability below and above which a pixel is background or person
BAND = 0.012  # of the person's box: how far from what is sure the colors still decide
NEAR = 4.0  # BANDs: from how far colors of person and background are taken
FLAT = 2e-3  # variance of the luminance below which it shows no edge
DOUBT = 8.0  # of colors that vary, in squares of their distance
LEAST = 0.3  # probability below which even a pixel of the person's color is not all person
HELD = 0.9  # how far a frame of which the network is unsure goes by the one before


class PersonMask:
    """Finds the person in pictures. Picklable; one instance may be shared by threads.

    folder: where the model file lies; None = `download.path(PERSON_MASK)`, which never downloads
    and raises IdfError naming the command. The model is opened at the first picture.
    """

    def __init__(self, folder: Path | str | None = None):
        self._folder = None if folder is None else Path(folder)
        self._net: cv2.dnn.Net | None = None
        self._lock = threading.Lock()

    def __getstate__(self):
        return {"_folder": self._folder}  # net and lock stay in their process

    def __setstate__(self, state):
        self.__init__(state["_folder"])

    def alpha(self, image: np.ndarray, before: np.ndarray | None = None,
              at: tuple[float, float] | None = None) -> np.ndarray:
        """Return (H, W) float32 in [0, 1]: how much of each pixel is the person; 0 everywhere where
        there is nobody.

        image: (H, W, 3 or 4) uint8; RGBA is laid over mid-gray. before: what this returned for
        the frame before it, of a video whose camera stands still; held where this frame is unsure.
        at: x, y pixels of the person, where there are several apart; None = the largest.
        """
        rgb = np.ascontiguousarray(over_gray(image))
        rough = self.rough(rgb)
        if before is not None:
            rough = held(rough, before)
        return refined(rgb, rough, at)

    def rough(self, rgb: np.ndarray) -> np.ndarray:
        """Return (H, W) float32: the network's probability of a person, unsharp. rgb: (H, W, 3)
        uint8.

        A person who fills little of the picture is looked at again from closer.
        """
        h, w = rgb.shape[:2]
        first = self._run(rgb)
        box = _box(first > 0.5)
        if box is None:
            return first
        x0, y0, x1, y1 = box
        margin = 0.15 * max(x1 - x0, y1 - y0)
        x0, y0 = (max(0, int(v - margin)) for v in (x0, y0))
        x1, y1 = min(w, int(x1 + margin) + 1), min(h, int(y1 + margin) + 1)
        if (x1 - x0) * (y1 - y0) > 0.7 * w * h:
            return first
        out = np.zeros((h, w), np.float32)
        out[y0:y1, x0:x1] = self._run(rgb[y0:y1, x0:x1])
        return out

    def _run(self, rgb: np.ndarray) -> np.ndarray:
        h, w = rgb.shape[:2]
        small = cv2.resize(rgb, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        with self._lock:
            net = self._opened()
            net.setInput((small.astype(np.float32) / 255).transpose(2, 0, 1)[None].copy())
            out = net.forward().reshape(SIZE, SIZE)
        return np.clip(cv2.resize(out, (w, h), interpolation=cv2.INTER_LINEAR), 0, 1)

    def _opened(self) -> cv2.dnn.Net:
        if self._net is None:
            folder = Path(self._folder or download.path(PERSON_MASK))
            file = download.located(folder, PERSON_MASK.pins[0])
            engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)  # as for the landmarks
            try:
                self._net = cv2.dnn.readNetFromTFLite(
                    str(file), *(() if engine is None else (engine,)))
            except cv2.error as e:
                raise IdfError(f"OpenCV {cv2.__version__} cannot run the person mask in {folder}",
                               str(e)[:300], "needs OpenCV 4.11 or newer and: "
                               "idf download person_mask") from e
        return self._net


def held(rough: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return a mask that goes by the frame before it where it is unsure; both (H, W) in [0, 1].

    As MediaPipe smooths masks: by 1 - (2p - 1)^2, nothing where p is 0 or 1.
    """
    share = HELD * (1 - (2 * rough - 1) ** 2) ** 2
    return rough + share * (before - rough)


def refined(rgb: np.ndarray, rough: np.ndarray, at: tuple[float, float] | None = None
            ) -> np.ndarray:
    """Return (H, W) float32 alpha that follows the picture's edges.

    rgb: (H, W, 3) uint8; rough: (H, W) float32 in [0, 1]. at: see `PersonMask.alpha`.
    """
    box = _box(rough > 0.5)
    if box is None:
        return np.zeros_like(rough)
    radius = max(2, round(BAND * max(box[2] - box[0], box[3] - box[1])))
    backdrop = plain_backdrop(rgb, radius)
    if backdrop is not None:
        rough = np.where(backdrop, 0, rough)
    person, room = _sure(rough, radius)
    image = rgb.astype(np.float32) / 255
    front, front_known, front_varies = _nearby(image, person, NEAR * radius)
    back, back_known, back_varies = _nearby(image, room, NEAR * radius)
    apart = front - back
    length = (apart**2).sum(2)
    by_color = np.clip(((image - back) * apart).sum(2) / np.maximum(length, 1e-6), 0, 1)
    # colors that hardly differ tell nothing, nor do those of hair beside skin, or a pixel that is
    # no mixture of the two; 0.02 = what noise and shading do
    odd = ((image - back - by_color[..., None] * apart) ** 2).sum(2)
    doubt = 0.02 + DOUBT * (front_varies + back_varies + odd)
    trust = length / (length + doubt) * front_known * back_known
    alpha = rough + trust * (by_color - rough)
    alpha = np.minimum(alpha, rough / LEAST)  # what is colored like the person need not be part
    alpha = np.where(person, 1, np.where(room, 0, alpha))
    luminance = image @ np.array([0.299, 0.587, 0.114], np.float32)
    # where the picture has no edge to follow, the filter would only blur
    edge = np.maximum(cv2.blur(luminance**2, (radius, radius))
                      - cv2.blur(luminance, (radius, radius)) ** 2, 0)
    smooth = alpha + edge / (edge + FLAT) * (guided(luminance, alpha, radius, 2e-4) - alpha)
    alpha = np.where(person | room, alpha, smooth)
    if backdrop is not None:
        # the outermost pixels are half backdrop, which encoding smears over one more
        inner = np.clip(2 * cv2.blur((~backdrop).astype(np.float32), (3, 3)) - 1, 0, 1)
        alpha = np.where(backdrop, 0, np.maximum(alpha, rough > LEAST)) * inner
    alpha = np.clip((alpha - 0.03) / 0.94, 0, 1)
    return (alpha * _one(alpha > 0.5, radius, at)).astype(np.float32)


def plain_backdrop(rgb: np.ndarray, radius: int) -> np.ndarray | None:
    """Return (H, W) bool where a backdrop of one exact color is seen, as of a scan on black or a
    picture with its background taken out; None where there is none. Strands thinner than `radius`
    pixels are left to the person."""
    rim = np.concatenate([rgb[0], rgb[:, 0], rgb[:, -1]])
    color = np.median(rim, axis=0)
    like = np.abs(rgb.astype(np.int16) - color.astype(np.int16)).max(2) <= 3
    if (np.abs(rim - color).max(1) <= 3).mean() < 0.7:
        return None
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (radius + 1, radius + 1))
    opened = cv2.morphologyEx(like.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    _, parts = cv2.connectedComponents(opened)
    outside = np.unique(np.concatenate([parts[0], parts[:, 0], parts[:, -1], parts[-1]]))
    open_ = np.isin(parts, outside[outside > 0]).astype(np.uint8)
    return like & (cv2.dilate(open_, kernel, iterations=2) > 0)


def cut_out(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return (H, W, 4) uint8 RGBA: the person with its own colors, where edges showed some of the
    background too. rgb: (H, W, 3) uint8; alpha: (H, W) float in [0, 1]."""
    alpha = np.asarray(alpha, np.float32)
    box = _box(alpha > 0.5)
    image = rgb.astype(np.float32) / 255
    if box is not None:
        radius = max(2, round(BAND * max(box[2] - box[0], box[3] - box[1])))
        front, front_known, _ = _nearby(image, alpha > 0.98, NEAR * radius)
        back, back_known, _ = _nearby(image, alpha < 0.02, NEAR * radius)
        a = np.maximum(alpha, 0.05)[..., None]
        own = np.clip((image - (1 - a) * back) / a, 0, 1)
        # what is mostly background says little of the person's color: that of the neighbors
        own = front + np.clip(2 * a - 0.4, 0, 1) * (own - front)
        mix = ((alpha > 0) & (alpha < 0.98)) * front_known * back_known
        image = image + mix[..., None] * (own - image)
    image = image * (alpha > 0)[..., None]  # nothing of the room stays in the file
    out = np.concatenate([image, alpha[..., None]], 2)
    return (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)


def guided(guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Return values smoothed along the edges of a guide, both (H, W) float32: the guided filter of
    He et al. (2010), windows of 2 radius + 1 pixels."""
    def mean(a):
        return cv2.boxFilter(a, -1, (2 * radius + 1, 2 * radius + 1))

    guide, values = guide.astype(np.float32), values.astype(np.float32)
    mg, mv = mean(guide), mean(values)
    slope = (mean(guide * values) - mg * mv) / (mean(guide * guide) - mg * mg + epsilon)
    return mean(slope) * guide + mean(mv - slope * mg)


def _sure(rough: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) bool each: what is surely person, and surely background."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    def inside(mask):
        return cv2.erode(mask.astype(np.uint8), kernel, borderValue=1) > 0

    return inside(rough > SURE[1]), inside(rough < SURE[0])


def _one(mask: np.ndarray, radius: int, at: tuple[float, float] | None) -> np.ndarray:
    """(H, W) bool: the part of a mask at x, y, else the largest, and `radius` pixels around it."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    label = 0
    if at is not None and 0 <= at[0] < mask.shape[1] and 0 <= at[1] < mask.shape[0]:
        label = int(parts[int(at[1]), int(at[0])])
    label = label or 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    part = (parts == label).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(part, kernel) > 0


def _nearby(image: np.ndarray, mask: np.ndarray, sigma: float
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean color (H, W, 3) of the masked pixels around each pixel, (H, W) in [0, 1] whether there
    are any, and (H, W) how much their colors vary."""
    h, w = mask.shape
    step = max(1, int(sigma // 4))  # so smooth that a smaller picture will do
    size = (-(-w // step), -(-h // step))
    m = mask.astype(np.float32)
    square = (image**2).sum(2)
    small = np.dstack([cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in
                       (image * m[..., None], square * m, m)])
    small = np.dstack([cv2.GaussianBlur(small[..., k], (0, 0), sigma / step) for k in range(5)])
    total = small[..., 4:]
    means = cv2.resize(small[..., :4] / np.maximum(total, 1e-6), (w, h))
    color = np.ascontiguousarray(means[..., :3])
    varies = np.maximum(means[..., 3] - (color**2).sum(2), 0)
    return color, np.clip(cv2.resize(total[..., 0], (w, h)) / 0.02, 0, 1), varies


def _box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of what is set; None where it is less than 1 % of the picture."""
    if mask.mean() < 0.01:
        return None
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
