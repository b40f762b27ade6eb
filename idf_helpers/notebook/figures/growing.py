"""Inside Gaussian Splatting: the Gaussians as ellipses, at several moments of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ...data.cameras import Camera, orbit
from ...data.contact_sheet import PAPER, contact_sheet
from ...data.dataset import Dataset
from ...data.training_views import TrainingViews
from ...reconstruction.splats.config import SplatConfig
from ...reconstruction.splats.gaussians import SH_C0, Gaussians
from ...reconstruction.splats.scene import GaussianScene
from ...reconstruction.splats.train import Trainer
from ...runtime.progress import Reporter
from ..bar import Bar
from ..widgets import fast
from .depths import depth_picture

MOMENTS = (0, 40, 150, 600)  # iterations
SMALL = SplatConfig(resolution=112, initial=800, max_gaussians=4000, growth=3.0)
FAST = 60  # iterations at most with IDF_FAST
FAINT = 0.02  # opacity below which an ellipse is not drawn
SIGMAS = 1.5  # half axes of an ellipse, standard deviations
FINE = 16  # parts of a pixel that OpenCV draws at


def growing_picture(data: Dataset, moments: Sequence[int] = MOMENTS, cell: int = 210,
                    reporter: Reporter | None = None) -> np.ndarray:
    """Train a few Gaussians for a few seconds and return them at some iterations: as ellipses,
    blended into a picture, and as depth: (H, W, 3) uint8."""
    if reporter is None:
        with Bar("training a few Gaussians") as bar:
            return growing_picture(data, moments, cell, bar)
    moments = [min(m, FAST) for m in moments] if fast() else moments
    config = replace(SMALL, iterations=max(moments))
    trainer = Trainer(TrainingViews.load(data.train, config.resolution), config)
    camera = front(data, 2 * cell)
    drawn, blended, depths, captions = [], [], [], []
    for moment in moments:
        while trainer.iteration < moment:
            trainer.step()
            reporter.step("training a few Gaussians", trainer.fraction)
        scene = trainer.scene()
        full = scene.render_full(camera, None, np.array(PAPER) / 255)
        drawn.append(ellipses(scene.gaussians, camera))
        blended.append(full.rgb)
        depths.append(depth_picture(full.depth))
        captions.append(f"iteration {moment}: {len(scene.gaussians)} Gaussians")
    return contact_sheet([*drawn, *blended, *depths], len(moments), cell, [
        *captions, *[""] * (2 * len(moments))], rows=["Gaussians", "blended", "depth"])


def inside_picture(scene: GaussianScene, data: Dataset, cell: int = 300) -> np.ndarray:
    """Return a trained head from the front: its picture, its Gaussians at a third of their size,
    and its depth: (H, W, 3) uint8."""
    camera = front(data, 2 * cell)
    full = scene.render_full(camera, None, np.array(PAPER) / 255)
    small = ellipses(scene.gaussians, camera, SIGMAS / 3)
    return contact_sheet([full.rgb, small, depth_picture(full.depth)], 3, cell, [
        "blended", f"its {len(scene.gaussians)} Gaussians, each at a third of its size",
        "depth: bright is near"])


def front(data: Dataset, size: int) -> Camera:
    """Return a camera before the face."""
    return orbit(data.cameras, 1, resolution=size)[0]


def on_screen(g: Gaussians, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where Gaussians fall on a picture: centers (N, 2) and covariances (N, 2, 2) in pixels,
    depths (N,).

    Σ = R S Sᵀ Rᵀ of rotation and scales, Σ' = J W Σ Wᵀ Jᵀ of the camera's rotation W and the
    derivative J of the projection at the center (EWA splatting, Zwicker et al. 2001).
    """
    from scipy.spatial.transform import Rotation

    R = Rotation.from_quat(g.quats[:, [1, 2, 3, 0]]).as_matrix()
    RS = R * np.exp(g.log_scales.astype(np.float64))[:, None, :]
    W = camera.w2c_cv[:3, :3]
    centers, z = camera.project(g.means)
    x, y = ((centers - (camera.cx, camera.cy)) / (camera.fx, camera.fy)).T  # x/z and y/z
    J = np.zeros((len(g), 2, 3))
    J[:, 0, 0], J[:, 0, 2] = camera.fx / z, -camera.fx * x / z
    J[:, 1, 1], J[:, 1, 2] = camera.fy / z, -camera.fy * y / z
    half = J @ W @ RS
    return centers, half @ half.transpose(0, 2, 1), z


def ellipses(g: Gaussians, camera: Camera, sigmas: float = SIGMAS) -> np.ndarray:
    """Return Gaussians as ellipses in their color, near ones over far ones: (H, W, 3) uint8."""
    centers, covariance, z = on_screen(g, camera)
    colors = np.clip(255 * (0.5 + SH_C0 * g.sh[:, 0]), 0, 255)
    values, axes = np.linalg.eigh(covariance)
    sizes = sigmas * np.sqrt(np.maximum(values, 0.01))
    angles = np.degrees(np.arctan2(axes[:, 1, 1], axes[:, 0, 1]))  # of the longer axis
    out = np.full((camera.height, camera.width, 3), PAPER, np.uint8)
    shown = (z > 0) & (g.opacities > FAINT) & (np.abs(centers) < 4 * out.shape[1]).all(1) \
        & (sizes.max(1) < out.shape[1])
    for i in np.flatnonzero(shown)[np.argsort(-z[shown])]:
        place = tuple(int(v) for v in np.round((centers[i] - 0.5) * FINE))
        size = tuple(int(v) for v in np.ceil(sizes[i, ::-1] * FINE))
        for color, width in ((colors[i], -1), (0.6 * colors[i], 1)):
            cv2.ellipse(out, place, size, float(angles[i]), 0, 360, tuple(map(float, color)),
                        width, cv2.LINE_AA, shift=4)
    return out
