"""Training pictures in memory: 8 bits, premultiplied, at training resolution, with cameras."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ..errors import IdfError
from ..kernels.compile import kernel
from ..kernels.threads import first_item, next_item, run_on_threads
from ..runtime.machine import cpu_count, memory_gb
from ..runtime.parallel import pmap
from .cameras import Camera, SceneFrame, fitted_size, scene_frame
from .frame import Frame

STRIP = 16  # rows that a thread takes at a time
BYTES_PER_PIXEL = 250  # of the picture in work: loss, gradients and their windows, measured


@dataclass(frozen=True, eq=False)
class TrainingViews:
    """cameras: V of them, at the size of their picture.
    pixels: V arrays (4, H, W) uint8 with premultiplied alpha, or (3, H, W) without any alpha.
    unseen: view -> (H, W) bool, pixels that its lens did not see: nothing is known of them. Views
        that show all are not in it.
    """

    cameras: list[Camera]
    pixels: list[np.ndarray]
    unseen: dict[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def has_alpha(self) -> bool:
        return self.pixels[0].shape[0] == 4

    @property
    def scene(self) -> SceneFrame:
        return scene_frame(self.cameras)

    @classmethod
    def load(cls, frames, resolution: int | None) -> TrainingViews:
        """Read views. frames: objects with `.camera` and `.image()` (H, W, 3 or 4) uint8; read by
        as many threads as there are processors.

        resolution: longer side in pixels, None for that of the files. Raises IdfError where there
        is no frame, where all cameras stand in one place, and where memory is too short.
        """
        frames = list(frames)
        _check_baseline([f.camera for f in frames])
        _check_memory(frames, resolution)
        cameras, pixels, unseen = [], [], {}
        for k, (camera, planes, hidden) in enumerate(
                pmap(lambda f: _read(f, resolution), frames, "threads", cpu_count())):
            cameras.append(camera)
            pixels.append(planes)
            if hidden is not None:
                unseen[k] = hidden
        if not pixels:
            raise IdfError("There is no picture to train on", "0 frames in the train split",
                           "give a dataset whose transforms_train.json names pictures")
        if len({p.shape[0] for p in pixels}) > 1:  # some with alpha: the others are opaque
            pixels = [p if len(p) == 4 else np.concatenate([p, np.full_like(p[:1], 255)])
                      for p in pixels]
        return cls(cameras, pixels, unseen)

    def silhouette(self, index: int) -> np.ndarray:
        """Return a view's alpha, (H, W) uint8; 255 where nothing is known, which cuts nothing
        off. For views with alpha."""
        alpha = self.pixels[index][3]
        return np.where(self.unseen[index], 255, alpha).astype(np.uint8) \
            if index in self.unseen else alpha

    def leave_out(self, index: int, target: np.ndarray, render: np.ndarray) -> None:
        """Put a render (3, H, W) into the target where nothing is known, so that it counts as
        right there."""
        if index in self.unseen:
            np.copyto(target, render, where=self.unseen[index])

    def every(self, index: int, step: int, x: int, y: int) -> TrainingViews:
        """Return view `index` alone, of its pixels [y::step, x::step], see `Camera.every`."""
        part = np.s_[..., y::step, x::step]
        unseen = {0: self.unseen[index][part]} if index in self.unseen else {}
        return TrainingViews([self.cameras[index].every(step, x, y)],
                             [np.ascontiguousarray(self.pixels[index][part])], unseen)

    def target(self, index: int, background: np.ndarray) -> np.ndarray:
        """Return (3, H, W) float32 in [0, 1]: view `index` over `background` (3,) (if it has
        alpha)."""
        pixels = self.pixels[index]
        out = np.empty((3, *pixels.shape[1:]), np.float32)
        run_on_threads(composite, pixels, np.asarray(background, np.float32), out)
        return out

    def border_color(self) -> np.ndarray:
        """Return (3,) float in [0, 1], the mean of all pictures' outermost pixels."""
        rims = [np.concatenate([p[:3, 0], p[:3, -1], p[:3, :, 0], p[:3, :, -1]], axis=1)
                for p in self.pixels]
        return np.concatenate(rims, axis=1).mean(axis=1) / 255.0


def _read(frame, resolution: int | None) -> tuple[Camera, np.ndarray, np.ndarray | None]:
    """Return a view's camera, its pixels as planes, and what its lens did not see."""
    image, seen = frame.seen_picture() if isinstance(frame, Frame) else (frame.image(), None)
    height, width = image.shape[:2]
    width, height = fitted_size(width, height, resolution)
    planes = np.ascontiguousarray(premultiplied(image, width, height).transpose(2, 0, 1))
    return (frame.camera.resized(width, height), planes,
            None if seen is None else partly(~seen, width, height))


def _check_baseline(cameras: list[Camera]) -> None:
    o = np.array([c.position for c in cameras]).reshape(-1, 3)
    if len(o) > 1 and np.ptp(o, axis=0).max() <= 1e-6 * max(1.0, float(np.abs(o).max())):
        raise IdfError("All cameras of the training pictures stand in one place",
                       f"{len(o)} cameras at {np.round(o[0], 4).tolist()}",
                       "without a distance between them there is no depth: give the cameras that "
                       "belong to the pictures")


def _check_memory(frames: list, resolution: int | None) -> None:
    cameras: list[Camera] = [f.camera for f in frames]
    if not cameras:
        return
    _, free = memory_gb()
    files = [getattr(f, "lens", None) or f.camera for f in frames]
    # All pictures stay in memory; one of them is decoded; loss and rasterizer work on one.
    sizes = [c.fitted(resolution) for c in cameras]
    working = max(c.width * c.height for c in sizes)
    needed = (sum(4 * c.width * c.height for c in sizes) + BYTES_PER_PIXEL * working
              + 24 * max(c.width * c.height for c in files)) / 1e9
    if needed > free:
        raise IdfError(f"{len(cameras)} pictures of {sizes[0].width}x{sizes[0].height} take more "
                       "memory than is free", f"{needed:.1f} GB needed, {free:.1f} GB free",
                       "train at a lower resolution (--resolution), or on fewer pictures")


def partly(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a bool (H, W) mask at another size: pixels that it covers, however little."""
    if mask.shape == (height, width):
        return mask
    return cv2.resize(mask.astype(np.float32), (width, height),
                      interpolation=cv2.INTER_AREA if width <= mask.shape[1] else
                      cv2.INTER_LINEAR) > 1e-3


def premultiplied(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a uint8 (H, W, 3 or 4) picture at (height, width), color times alpha.

    Resized after the multiplication, so that the color of transparent pixels does not leak in;
    each output pixel is the mean over its area (linear interpolation where it grows).
    """
    image = image.astype(np.float32)
    if image.shape[2] == 4:
        image[..., :3] *= image[..., 3:] / 255.0
    if (width, height) != (image.shape[1], image.shape[0]):
        shrink = width <= image.shape[1]
        image = cv2.resize(image, (width, height),
                           interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


@kernel
def composite(pixels, background, out, counter):
    """pixels (3 or 4, H, W) uint8 premultiplied over background (3,) float32: out (3, H, W) f32."""
    channels, height = pixels.shape[:2]
    scale, strips = np.float32(1 / 255), -(-height // STRIP)
    item = first_item(counter)
    while item < 3 * strips:
        c, rows = item // strips, slice(item % strips * STRIP, (item % strips + 1) * STRIP)
        color, to = pixels[c, rows].reshape(-1), out[c, rows].reshape(-1)
        if channels == 4:
            alpha = pixels[3, rows].reshape(-1)
            for j in range(len(to)):
                through = np.float32(255 - alpha[j]) * scale  # 1 where nothing is, to the bit
                to[j] = np.float32(color[j]) * scale + through * background[c]
        else:
            for j in range(len(to)):
                to[j] = np.float32(color[j]) * scale
        item = next_item(counter)
