"""Which Gaussians the expression may move: those whose color error follows it.

A monocular sequence mixes head pose and expression: eyes look back at the camera when the head
turns, people smile to one side. A basis that may move everything learns the pose a second time,
through the expression, and comes apart on frames where the two go other ways. So the head is
trained still first. Then every Gaussian is asked what color error the frames leave on it, and
whether the expression explains that error once the pose has explained what it can. Only those where
it does get deltas.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..splats.gaussians import SH_C0

NEIGHBORS = 9
SHOWS = 0.05  # pixels that a Gaussian must fill in a frame to show there
LEAST_SEEN = 4  # frames in which a Gaussian must show for a word about it


class ErrorTable:
    """Signed color error on each Gaussian in each frame.

    errors: (N, F, 3) mean of picture - render over the pixels where it shows, weighted as it is
    drawn. seen: (N, F) sum of those weights, pixels.
    """

    def __init__(self, gaussians: int, frames: int):
        self.errors = np.zeros((gaussians, frames, 3), np.float32)
        self.seen = np.zeros((gaussians, frames), np.float32)

    def add(self, frame: int, rasterizer, residual: np.ndarray) -> None:
        """Add a frame, after a forward(train=True) of it. residual: (3, H, W) picture - render.

        The gradient of sum(residual · picture) by a Gaussian's color is the sum of its blending
        weights times the residual: the rasterizer's own backward, at one more pass for the weights.
        """
        sums = rasterizer.backward(np.ascontiguousarray(residual)).sh[:, 0].copy()
        ones = rasterizer.backward(np.ones_like(residual)).sh[:, 0]
        n = len(self.errors)
        weight = ones[:n].max(axis=1)  # a channel at the lower end of the colors passes nothing
        self.seen[:, frame] = weight / SH_C0
        self.errors[:, frame] = sums[:n] / np.maximum(weight, 1e-6)[:, None]

    def by_frame(self) -> np.ndarray:
        """Return (F, 3N) errors of each frame, a Gaussian's by the square root of the pixels that
        it fills; 0 where it does not show."""
        size = np.sqrt(self.seen.mean(axis=1))[:, None] * (self.seen > SHOWS)
        return (self.errors * size[..., None]).transpose(1, 0, 2).reshape(self.seen.shape[1], -1)

    def follows(self, z: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """Return (N,) amplitude of the color error, in [0, 1], that z (F, K) explains beyond pose
        (F, P).

        Least squares; what as many random regressors would explain of the same error is taken off.
        """
        frames = len(z)
        base = np.concatenate([np.ones((frames, 1)), pose], axis=1)
        q, _ = np.linalg.qr(base)
        rest = z - q @ (q.T @ z)
        u, s, _ = np.linalg.svd(rest, full_matrices=False)
        u = u[:, s > 1e-3 * max(s[0] if len(s) else 0, 1e-9)]  # (F, k) what only z can say
        shown = self.seen > SHOWS
        error = np.where(shown[..., None], self.errors, 0).astype(np.float64)
        error -= np.einsum("fp,npc->nfc", q, np.einsum("fp,nfc->npc", q, error))
        total = (error**2).sum(axis=(1, 2))
        explained = (np.einsum("fk,nfc->nkc", u, error) ** 2).sum(axis=(1, 2))
        free = max(frames - q.shape[1], 1)
        chance = total * min(u.shape[1] / free, 1.0)
        count = shown.sum(axis=1)
        out = np.sqrt(np.maximum(explained - chance, 0) / (3 * np.maximum(count, 1)))
        out[count < LEAST_SEEN] = 0
        return out


def moving(means: np.ndarray, opacities: np.ndarray, follows: np.ndarray,
           threshold: float) -> np.ndarray:
    """Return (N,) bool: Gaussians whose surroundings follow the expression by more than
    `threshold`.

    Every Gaussian takes the mean over its neighbors, weighted by opacity: movement has extent, a
    stray one does not move alone, and what lies behind lips must be free to come out.
    """
    k = min(NEIGHBORS, len(means))
    _, near = cKDTree(means).query(means, k=k, workers=1)
    near = near.reshape(len(means), k)
    weight = opacities[near] + 1e-3
    return (follows[near] * weight).sum(axis=1) / weight.sum(axis=1) > threshold
