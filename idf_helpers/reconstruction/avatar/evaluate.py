"""How well an avatar renders held-out frames: whole frame, head box, moving pixels.

Beside it two baselines. "shuffled": the same avatar, each frame with the expression of another one;
what is lost is what the expressions bring. "static": a model of the same kind and budget that
cannot move, trained beside the avatar where that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...data.dataset import Frame
from ...errors import IdfError
from ...metrics import PictureDistance, Target, psnr, ssim
from .scene import AvatarScene

MOVES = 0.05  # change of color from the neutral face, of 1, above which a pixel counts as moving
MODELS = ("avatar", "static", "shuffled")
KEYS = ("psnr", "ssim", "psnr_head", "psnr_moving", "lpips")
LEAST_PIXELS = 20  # that move in a frame, for it to count


@dataclass(frozen=True)
class FrameMetrics:
    """One frame by one model: psnr over the frame, over its head box (psnr_head) and over the
    pixels that move (psnr_moving, NaN where almost none do), in dB; ssim of the frame, and its
    lpips, None where it is not measured."""

    model: str
    name: str
    psnr: float
    ssim: float
    psnr_head: float
    psnr_moving: float
    lpips: float | None = None

    def row(self) -> dict:
        """Return the fields for JSON and tables: None for what is not finite."""
        return {"model": self.model, "view": self.name} | {
            k: float(v) if np.isfinite(v := getattr(self, k)) else None
            for k in KEYS if k != "lpips" or self.lpips is not None}


@dataclass(frozen=True)
class AvatarMetrics:
    """All frames of all models."""

    frames: tuple[FrameMetrics, ...]

    def of(self, model: str) -> list[FrameMetrics]:
        """Return the frames of one model."""
        return [f for f in self.frames if f.model == model]

    def rows(self) -> list[dict]:
        """Return one row for each frame and model."""
        return [f.row() for f in self.frames]

    def mean(self, model: str, key: str) -> float:
        """Return the mean over the frames with a finite value; NaN where there is none."""
        values = np.array([getattr(f, key) for f in self.of(model)], np.float64)  # None: NaN
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    @property
    def models(self) -> list[str]:
        return [m for m in MODELS if self.of(m)]

    def means(self, model: str = "avatar") -> dict:
        """Return psnr, ssim, psnr_head and psnr_moving of one model, rounded; None: not finite.
        lpips where it is measured."""
        found = {k: self.mean(model, k) for k in KEYS}
        return {k: round(v, 4 if k in ("ssim", "lpips") else 3) if np.isfinite(v) else None
                for k, v in found.items() if k != "lpips" or np.isfinite(v)}

    def summary(self) -> dict:
        """Return the means of the avatar, views; and those of the baselines under their names."""
        return self.means() | {"views": len(self.of("avatar"))} | {
            m: self.means(m) for m in self.models if m != "avatar"}


def evaluate_avatar(scene: AvatarScene, frames: Iterable[Frame], resolution: int | None = None,
                    noise: float = 0.0, seed: int = 0,
                    lpips: PictureDistance | None = None) -> AvatarMetrics:
    """Render every frame with its camera and expression, before the room, and compare; the same
    with the scene's `baseline` where it has one.

    noise: standard deviation of noise added to the
    expressions. seed: of noise and shuffling. lpips: as of `metrics.evaluate_scene`. IdfError for
    no frames.
    """
    frames = list(frames)
    if not frames:
        raise IdfError("There are no frames to evaluate", "an empty test split",
                       "hold some out: --holdout-last N")
    rng = np.random.default_rng(seed)
    other = rng.permutation(len(frames))
    rows: list[FrameMetrics] = []
    for i, frame in enumerate(frames):
        t = Target.of(frame, resolution, scene.background)
        e = frame.expression
        if noise:
            e = e + rng.normal(0, noise, len(e)).astype(np.float32)
        pictures = {"avatar": scene.render(t.camera, e, t.background),
                    "shuffled": scene.render(t.camera, frames[other[i]].expression, t.background)}
        if scene.baseline is not None:
            pictures["static"] = scene.baseline.render(t.camera, None, t.background)
        neutral = scene.render(t.camera, None, t.background)
        shown = scene.render(t.camera, frame.expression, t.background) if noise else \
            pictures["avatar"]
        moving = np.abs(shown - neutral).max(axis=2) > MOVES
        if moving.sum() < LEAST_PIXELS:
            moving[:] = False
        box = head_box(frame, *moving.shape)
        for model in MODELS:
            if model in pictures:
                p = pictures[model]
                rows.append(FrameMetrics(model, frame.name, psnr(p, t.rgb), ssim(p, t.rgb),
                                         psnr(p[box], t.rgb[box]), psnr(p, t.rgb, moving),
                                         lpips(np.clip(p, 0, 1), t.rgb) if lpips else None))
    return AvatarMetrics(tuple(rows))


def head_box(frame: Frame, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a frame's head box; all of them where it has none."""
    if frame.bbox is None:
        return slice(0, height), slice(0, width)
    r0, r1, c0, c1 = np.clip(frame.bbox, 0, 1) * (height, height, width, width)
    return slice(int(r0), max(int(r1), int(r0) + 1)), slice(int(c0), max(int(c1), int(c0) + 1))
