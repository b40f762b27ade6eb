"""Inside a radiance field: one ray with its samples, and a slice through the density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...data.cameras import orbit, scene_frame
from ...data.contact_sheet import BACKGROUND
from ...data.dataset import Dataset
from ...kernels.harmonics import sh_basis
from ...reconstruction.nerf.scene import VoxelScene
from ...scene import Scene
from .charts import COLORS, INK, chart, legend, picture_of

SAMPLES, SLICE = 160, 220  # along the ray; pixels of the slice's side
MARGIN = 0.15  # scene radii that are shown before the first and behind the last sample with weight


@dataclass(frozen=True)
class RaySamples:
    """What a ray meets, front to back.

    at: (S,) distances, world units. density: (S,) per world unit. colors: (S, 3) in [0, 1].
    alpha: (S,) = 1 - exp(-density · step). passed: (S,) share of the light that comes so far,
    T_i = Π_{j<i} (1 - alpha_j). weights: (S,) = passed · alpha.
    """

    at: np.ndarray
    density: np.ndarray
    colors: np.ndarray
    alpha: np.ndarray
    passed: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, scene: Scene, origin: np.ndarray, direction: np.ndarray, near: float, far: float,
           count: int = SAMPLES) -> RaySamples:
        """Return the samples of a ray; direction (3,) of unit length."""
        step = (far - near) / count
        at = near + step * (np.arange(count) + 0.5)
        density, colors = query(scene, origin + at[:, None] * direction, direction)
        alpha = 1 - np.exp(-density * step)
        passed = np.concatenate([[1.0], np.cumprod(1 - alpha)[:-1]])
        return cls(at, density, colors, alpha, passed, passed * alpha)


def query(scene: Scene, points: np.ndarray, direction: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return density (N,) per world unit and color (N, 3) of a field at points (N, 3), seen along
    the unit vector `direction` (3,)."""
    if isinstance(scene, VoxelScene):
        return _of_voxels(scene, points, direction)
    import torch

    field, device = scene.field, scene.device  # the network of `vanilla`
    with torch.no_grad():
        raw = field.query(torch.tensor(points[None], dtype=torch.float32, device=device),
                          torch.tensor(direction[None], dtype=torch.float32, device=device), True)
    raw = raw[0].float().cpu().numpy()
    return np.maximum(raw[:, 3], 0), 1 / (1 + np.exp(-raw[:, :3]))


def _of_voxels(scene: VoxelScene, points, direction) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate between the eight corners of each point's cell; an empty one has no density."""
    g = scene.grid
    place = (points - g.origin) / g.voxel
    low = np.floor(place).astype(int)
    inside = ((low >= 0) & (low < np.array(g.slots.shape) - 1)).all(1)
    low = np.where(inside[:, None], low, 0)
    values = np.zeros((len(points), g.params.shape[1]), np.float64)
    for corner in np.ndindex(2, 2, 2):
        share = np.abs(1 - np.array(corner) - (place - low)).prod(1)
        rows = g.slots[tuple((low + corner).T)]
        inside &= rows >= 0
        values += share[:, None] * g.params[rows]
    n = (g.sh_degree + 1) ** 2
    Y = np.zeros(16, np.float32)
    sh_basis(g.sh_degree, *direction.astype(np.float32), Y)
    colors = np.stack([values[:, 1 + c * n:1 + (c + 1) * n] @ Y[:n] for c in range(3)], 1)
    density = np.logaddexp(0, np.minimum(values[:, 0], 20)) / g.voxel
    return np.where(inside, density, 0), np.clip(colors, 0, 1)


def ray_picture(scene: Scene, data: Dataset, where=(0.5, 0.56), size: int = 320) -> np.ndarray:
    """Return the head with one pixel marked, the density in the plane of that pixel's ray, seen
    from above, and what the ray meets: (H, W, 3) uint8.

    where: of the pixel, shares of the picture's width and height.
    """
    camera = orbit(data.cameras, 1, elevation=0.0, resolution=size)[0]
    column, row = int(where[0] * camera.width), int(where[1] * camera.height)
    origin, rays = camera.rays()
    direction = rays[row, column]
    frame = scene_frame(data.cameras)
    near, far = frame.distance - frame.radius, frame.distance + frame.radius
    seen = RaySamples.of(scene, origin, direction, near, far)
    figure, (left, middle, right) = chart(10.5, 3.4, 3, (1, 1, 1.5))
    left.imshow(scene.render(camera, None, BACKGROUND))
    left.plot(column, row, "o", markersize=10, markerfacecolor="none", markeredgecolor=COLORS[0],
              markeredgewidth=2)
    left.set_title("one pixel …")
    _draw_slice(middle, scene, frame, origin, direction, seen)
    for axes in (left, middle):
        axes.set_axis_off()
    _draw_samples(right, seen, frame.radius)
    return picture_of(figure)


def _draw_slice(axes, scene, frame, origin, direction, seen: RaySamples) -> None:
    """Draw the density in the plane through the ray and the horizontal line across it."""
    across = np.cross(direction, frame.up)
    across /= np.linalg.norm(across)
    side = np.linspace(-1, 1, SLICE) * frame.radius
    x, d = np.meshgrid(side, frame.distance - side)
    points = origin + d.reshape(-1, 1) * direction + x.reshape(-1, 1) * across
    density, _ = query(scene, points, direction)
    step = seen.at[1] - seen.at[0]
    axes.imshow(1 - np.exp(-density * step).reshape(SLICE, SLICE), cmap="magma", vmin=0, vmax=1,
                extent=(-1, 1, -1, 1))
    axes.annotate("", (0, 0.98), (0, -0.98), arrowprops={"arrowstyle": "->", "color": COLORS[0],
                                                         "lw": 1.5})
    axes.text(0.04, -0.95, "camera", color=COLORS[0], fontsize=9)
    axes.set_title("… its ray through the density …")


def _draw_samples(axes, seen: RaySamples, radius: float) -> None:
    there = np.flatnonzero(seen.weights > 0.002)
    first, last = (there[0], there[-1]) if len(there) else (0, len(seen.at) - 1)
    axes.set_xlim(seen.at[first] - MARGIN * radius, seen.at[last] + MARGIN * radius)
    axes.plot(seen.at, seen.alpha, color=COLORS[1], label=r"$\alpha_i$, opacity of a sample")
    axes.plot(seen.at, seen.passed, color=COLORS[0], label=r"$T_i$, light that still gets there")
    axes.fill_between(seen.at, seen.weights, color=COLORS[2], alpha=0.9,
                      label=r"$w_i = T_i\,\alpha_i$, its share of the pixel")
    shown = np.broadcast_to(seen.colors[None], (1, *seen.colors.shape))
    axes.imshow(shown, extent=(seen.at[0], seen.at[-1], -0.16, -0.04), aspect="auto")
    axes.set_ylim(-0.18, 1.05)
    axes.text(axes.get_xlim()[0], -0.1, "colors $c_i$ ", color=INK, fontsize=9, ha="right",
              va="center")
    axes.set(xlabel="distance from the camera, world units", title="… and what it meets")
    axes.set_yticks(np.linspace(0, 1, 6))
    legend(axes, loc="upper right")
