"""The room behind a talking head, and the head before it."""

from __future__ import annotations

import numpy as np

from ...data import media
from ...data.dataset import Dataset
from ...errors import IdfError

MEDIAN_FRAMES = 41
FAINT = 16  # of 255: silhouettes made by a network are hardly ever 0 beside hair


def read_background(dataset: Dataset, width: int, height: int, mode: str = "file") -> np.ndarray:
    """Return (height, width, 3) uint8. mode: see `AvatarConfig.background`. IdfError where it is
    missing or of another shape than the frames."""
    if mode in ("white", "black"):
        return np.full((height, width, 3), 255 if mode == "white" else 0, np.uint8)
    if mode == "median":
        frames = dataset.train[:: max(1, len(dataset.train) // MEDIAN_FRAMES)]
        stack = np.stack([media.resize_area(f.image()[..., :3], width, height) for f in frames])
        return np.median(stack, axis=0).astype(np.uint8)
    if dataset.background is None:
        image = dataset.train[0].image()
        if image.shape[2] == 4:
            return np.full((height, width, 3), 255, np.uint8)
        raise IdfError(f"The dataset {dataset.root} has no background picture",
                       "no PNG file under bg/", "photograph the room without the head and save it "
                       "as bg/00050.png, or take --background median, white or black")
    image = media.read_image(dataset.background, "background")[..., :3]
    w, h = dataset.size
    if abs(image.shape[1] / image.shape[0] - w / h) > 0.02 * w / h:
        raise IdfError(f"The background {dataset.background} has another shape than the frames",
                       f"{image.shape[1]}x{image.shape[0]}, the frames are {w}x{h}",
                       "crop it as the frames were cropped")
    return media.resize_area(image, width, height)


def is_made_of_frames(dataset: Dataset, mode: str = "file") -> bool:
    """Whether the background comes from the frames themselves: then it says nothing about what the
    person hides in all of them, and a difference to it is no silhouette."""
    if mode == "file" and dataset.background is not None:
        image = media.read_image(dataset.background, "background")
        return image.shape[2] == 4 and bool((image[..., 3] < 255).any())
    return mode == "median"


def matte(picture: np.ndarray, background: np.ndarray, threshold: int = 12) -> np.ndarray:
    """Return (H, W) uint8, 255 where the picture shows something before the background.

    Differences above `threshold` of 255 in any channel, small gaps closed, holes filled, specks
    dropped: a first guess of the silhouette, where head and room differ in color.
    """
    import cv2

    difference = cv2.absdiff(picture, background).max(axis=2)
    found = (difference > threshold).astype(np.uint8)
    side = max(3, round(0.02 * max(found.shape)) | 1)
    closed = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    # what was closed is room again where it lies beside the outline, as under an ear
    mask = _filled(_filled(closed) & ~(closed & ~found))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    n, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if n > 1:
        keep = stats[:, cv2.CC_STAT_AREA] > 0.05 * stats[1:, cv2.CC_STAT_AREA].max()
        keep[0] = False
        mask = keep[labels].astype(np.uint8)
    return mask * 255


def beside_head(silhouette: np.ndarray) -> np.ndarray:
    """Return (H, W) bool, pixels that are room for certain: some pixels off an uint8 silhouette.

    There a training may show any color behind the head and ask for the same in the picture: what is
    painted like the room instead of being transparent is found out.
    """
    import cv2

    side = max(3, round(0.03 * max(silhouette.shape)) | 1)
    return cv2.dilate(np.ascontiguousarray(silhouette), np.ones((side, side), np.uint8)) < FAINT


def _filled(mask: np.ndarray) -> np.ndarray:
    """Return a mask with its holes filled: what no path connects to the upper border."""
    import cv2

    padded = np.pad(mask, 1)
    padded[-1] = padded[-2]  # the body may leave the picture below
    _, labels = cv2.connectedComponents(1 - padded, connectivity=4)
    return (labels != labels[0, 0])[1:-1, 1:-1].astype(np.uint8)
