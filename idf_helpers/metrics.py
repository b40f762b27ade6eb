"""Measures of pictures and scenes: PSNR, SSIM, and both over the test views of a scene.

Scenes are measured on the test split, full frame, at training resolution, RGBA pictures over
white; the masked PSNR beside it counts only pixels where the picture's alpha is above one half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from .data import media
from .data.cameras import Camera
from .data.dataset import Frame
from .data.training_views import partly
from .errors import IdfError
from .scene import WHITE, Scene

PictureDistance = Callable[[np.ndarray, np.ndarray], float]
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for values in [0, 1] (Wang et al. 2004)


def psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures in [0, 1], shape (H, W, C).

    mask: (H, W) bool, the pixels that count. Infinite where they are equal, NaN for an empty mask.
    """
    d = (a.astype(np.float64) - b.astype(np.float64)) ** 2
    if mask is not None:
        d = d[mask]
    if d.size == 0:
        return float("nan")
    mse = d.mean()
    # PSNR = 10 log10(1 / MSE)
    return float("inf") if mse == 0 else float(-10.0 * np.log10(mse))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Mean structural similarity of two (H, W, C) pictures in [0, 1]; window 11, sigma 1.5, zero
    padding, as in 3DGS. 1 where they are equal."""
    import cv2

    def blur(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (11, 11), 1.5, borderType=cv2.BORDER_CONSTANT)

    a, b = a.astype(np.float64), b.astype(np.float64)
    m, n = blur(a), blur(b)
    vx, vy, cov = blur(a * a) - m * m, blur(b * b) - n * n, blur(a * b) - m * n
    # S = (2mn + C1)(2cov + C2) / ((m² + n² + C1)(vx + vy + C2))
    s = (2 * m * n + C1) * (2 * cov + C2) / ((m * m + n * n + C1) * (vx + vy + C2))
    return float(s.mean())


@dataclass(frozen=True)
class ViewMetrics:
    """One view: psnr and psnr_masked in dB, ssim in [-1, 1]. Equal pictures have an infinite psnr;
    psnr_masked is NaN where no pixel lies under the mask. lpips: None where it is not measured."""

    name: str
    psnr: float
    ssim: float
    psnr_masked: float
    lpips: float | None = None

    def row(self) -> dict:
        """Return the fields, None for values that are not finite (JSON cannot hold them); lpips
        only where it is measured."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v
                for k, v in asdict(self).items() if k != "lpips" or v is not None}


@dataclass(frozen=True)
class SceneMetrics:
    """Means over the views with a finite value; metrics.json adds what the trainer knows."""

    views: tuple[ViewMetrics, ...]

    def _mean(self, key: str) -> float:
        values = np.array([getattr(v, key) for v in self.views], np.float64)  # None becomes NaN
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    @property
    def psnr(self) -> float:
        return self._mean("psnr")

    @property
    def ssim(self) -> float:
        return self._mean("ssim")

    @property
    def psnr_masked(self) -> float:
        return self._mean("psnr_masked")

    def rows(self) -> list[dict]:
        """Return one row for each view: view, psnr, ssim, psnr_masked, lpips if measured."""
        return [{"view": v.name} | {k: x for k, x in v.row().items() if k != "name"}
                for v in self.views]

    def means(self) -> dict:
        """Return psnr, ssim, psnr_masked, and lpips if measured, over all views, rounded."""
        return {k: v for k, v in self.summary().items() if k != "views"}

    def summary(self) -> dict:
        """psnr, ssim, psnr_masked, rounded; psnr_masked is None where no picture has alpha. lpips
        where it is measured."""
        masked, lpips = self.psnr_masked, self._mean("lpips")
        return {"psnr": round(self.psnr, 3), "ssim": round(self.ssim, 4),
                "psnr_masked": round(masked, 3) if np.isfinite(masked) else None,
                **({"lpips": round(lpips, 4)} if np.isfinite(lpips) else {}),
                "views": len(self.views)}


@dataclass(frozen=True, eq=False)
class Target:
    """What a render is compared with.

    rgb: (H, W, 3) float32, an RGBA picture over the background. mask: (H, W) bool, alpha above one
    half, empty where the picture has no alpha. camera: at the picture's size.
    background: what to render over, None = the scene's own where there is no alpha.
    unseen: (H, W) bool, pixels that the picture's lens did not see, None where it saw all.
    """

    rgb: np.ndarray
    mask: np.ndarray
    camera: Camera
    background: tuple[float, float, float] | None
    unseen: np.ndarray | None = None

    @classmethod
    def of(cls, frame: Frame, resolution: int | None,
           background: tuple[float, float, float] = WHITE) -> Target:
        """resolution: longer side, pixels; None = as the picture is. background: (3,) behind
        pictures with alpha."""
        camera = frame.camera.fitted(resolution)
        image, seen = frame.seen_picture() if isinstance(frame, Frame) else (frame.image(), None)
        image = media.resize_area(image, camera.width, camera.height)
        alpha = image.shape[2] == 4
        mask = image[..., 3] > 127 if alpha else np.zeros(image.shape[:2], bool)
        return cls(media.over(image, background), mask, camera, background if alpha else None,
                   None if seen is None else partly(~seen, camera.width, camera.height))

    def known(self, render: np.ndarray) -> np.ndarray:
        """Return a render with the picture's own pixels where the lens saw nothing."""
        return render if self.unseen is None else np.where(self.unseen[..., None], self.rgb, render)


def evaluate_scene(scene: Scene, frames: Iterable[Frame], resolution: int | None = None,
                   background: tuple[float, float, float] = WHITE,
                   progress: Callable[[int], None] | None = None,
                   lpips: PictureDistance | None = None) -> SceneMetrics:
    """Render every frame's camera and compare; pictures with alpha go over `background` (3,).
    lpips: of two (H, W, 3) in [0, 1], as `perceptual.Lpips`; None = not measured. IdfError for no
    frames."""
    rows = []
    for i, frame in enumerate(frames):
        t = Target.of(frame, resolution, background)
        picture = t.known(scene.render(t.camera, frame.expression, t.background))
        seen = None if t.unseen is None else ~t.unseen
        rows.append(ViewMetrics(frame.name, psnr(picture, t.rgb, seen), ssim(picture, t.rgb),
                                psnr(picture, t.rgb, t.mask),
                                lpips(np.clip(picture, 0, 1), t.rgb) if lpips else None))
        if progress:
            progress(i + 1)
    if not rows:
        raise IdfError("There are no views to evaluate", "an empty test split",
                       "use a dataset with a test split")
    return SceneMetrics(tuple(rows))
