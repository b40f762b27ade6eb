"""Crop and clean-up of a trained scene: which Gaussians contribute to no view of it.

Each rule is a function from Gaussians to a mask (N,) bool of what it removes. Lengths are in scene
radii (`cameras.scene_frame`), pixels those of pictures of 256 pixels. Rules about what training
views see go by the blending weights w = alpha·T summed over a view's pixels, read off the
rasterizer's own gradient: with all colors equal to one half, d(sum of rgb)/d(sh_0) = Y_0 · Σ w.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from scipy.spatial import cKDTree

from ...data.cameras import SceneFrame
from ...data.training_views import TrainingViews
from ...errors import IdfError
from .gaussians import SH_C0, Gaussians
from .rasterizer import Rasterizer
from .scene import GaussianScene

RESOLUTION = 256  # longer side of the training pictures that the rules are measured in
BLACK = np.zeros(3, np.float32)


# Thresholds, chosen on the sample head (`benchmarks/cleanup.py`): they take what frays below the
# bust, and held-out PSNR does not fall.
HULL_MARGIN = 0.03  # scene radii that a center may lie outside the silhouettes
HULL_VIEWS = 0.1  # share of the views with a center in the picture that must see it outside
MIN_PIXELS = 0.02  # blending weight below which a Gaussian counts as unseen, pixels per view, mean
MIN_VIEWS = 0.05  # share of all views that its weight must come from in effect ((Σw)²/Σw²)
# Least share of its weight from views whose picture holds its center: what is only seen by its tail
# over the rim of pictures has grown without any control.
MIN_INSIDE = 0.4
MIN_COVERED = 0.1  # least share of the views whose picture holds its center
# A Gaussian is isolated where its fifth-nearest neighbor is further than so many scene radii, and
# so many times what is usual (the median) in the model; it goes below this opacity.
LONELY_DISTANCE, LONELY_FACTOR, LONELY_OPACITY = 0.08, 4.0, 0.3


@dataclass(frozen=True)
class Contributions:
    """How the training views see each Gaussian; all (N,) float32.

    pixels: blending weight per view, mean over the views, pixels. views: their effective number,
    (Σw)²/Σw², 0 where nothing is seen. inside: share of the weight from views that hold the center
    in their picture. covered: share of views that hold it.
    """

    pixels: np.ndarray
    views: np.ndarray
    inside: np.ndarray
    covered: np.ndarray


def contributions(g: Gaussians, views: TrainingViews, rasterizer: Rasterizer) -> Contributions:
    """Render every view once, forward and backward; return what they see of each Gaussian."""
    gray = replace(g, sh=np.zeros((len(g), 1, 3), np.float32))
    total, squares, inside, covered = np.zeros((4, len(g)), np.float32)
    for camera in views.cameras:
        rasterizer.forward(gray, camera, BLACK, sh_degree=0, train=True)
        ones = np.zeros((3, camera.height, camera.width), np.float32)
        ones[0] = 1
        w = rasterizer.backward(ones).sh[:, 0, 0] / np.float32(SH_C0)
        holds = _pixel_of(camera, g.means)[2]
        total += w
        squares += w * w
        inside += w * holds
        covered += holds
    seen = np.maximum(total, 1e-12)
    return Contributions(total / len(views), np.where(total > 0, total**2 / np.maximum(
        squares, 1e-24), 0), inside / seen, covered / len(views))


def _pixel_of(camera, points):
    """Row, column (int, cut to the picture) of points (N, 3), and whether the picture holds it."""
    uv, z = camera.project(points)
    with np.errstate(invalid="ignore"):
        holds = (z > 0) & (uv >= 0).all(1) & (uv[:, 0] < camera.width) & (uv[:, 1] < camera.height)
    j, i = np.where(holds[:, None], uv, 0).astype(np.int64).T
    return i, j, holds


# --- rules ----------------------------------------------------------------------------------------

def outside_hull(g: Gaussians, views: TrainingViews) -> np.ndarray:
    """Return the centers that lie outside the silhouettes (alpha < 0.1, widened by the margin) in
    more than `HULL_VIEWS` of the views that hold them; none where the pictures have no alpha."""
    if not views.has_alpha:
        return np.zeros(len(g), bool)
    scene = views.scene
    held, out = np.zeros((2, len(g)), np.int32)
    for k, camera in enumerate(views.cameras):
        reach = HULL_MARGIN * scene.radius * camera.fx / scene.distance
        size = 2 * int(np.ceil(reach)) + 1
        alpha = cv2.dilate(views.silhouette(k),
                           cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
        i, j, holds = _pixel_of(camera, g.means)
        held += holds
        out += holds & (alpha[i, j] < 0.1 * 255)
    return (out > 0) & (out >= HULL_VIEWS * held)


def unseen(c: Contributions) -> np.ndarray:
    """Return the Gaussians whose blending weight is almost nothing: hidden, or out of view."""
    return c.pixels < MIN_PIXELS


def frayed(c: Contributions, views: int) -> np.ndarray:
    """Return the Gaussians that too few of the `views` views determine: seen by few in effect (at
    least one and a half), held by few pictures, or seen mostly by their tails over the rim."""
    return ((c.views < max(MIN_VIEWS * views, 1.5)) | (c.inside < MIN_INSIDE)
            | (c.covered < MIN_COVERED))


def isolated(g: Gaussians, radius: float) -> np.ndarray:
    """Return the faint Gaussians far from all others. radius: the scene's, world units."""
    if len(g) < 6:
        return np.zeros(len(g), bool)
    fifth = cKDTree(g.means).query(g.means, k=6)[0][:, 5]
    far = max(LONELY_DISTANCE * radius, LONELY_FACTOR * float(np.median(fifth)))
    return (fifth > far) & (g.opacities < LONELY_OPACITY)


def outside_crop(g: Gaussians, frame: SceneFrame, crop) -> np.ndarray:
    """Return the centers outside a sphere or a box around the scene's center.

    crop: (radius,), or (right0, right1, up0, up1, front0, front1): bounds along the scene's axes
    (right as the head's viewer sees it), all in scene radii. IdfError for anything else.
    """
    crop = np.asarray(crop, np.float64)
    p = (g.means - frame.center) / frame.radius
    if crop.shape == (1,) and 0 < crop[0] < np.inf:
        return np.linalg.norm(p, axis=1) > crop[0]
    if crop.shape == (6,) and np.isfinite(crop).all() and (crop[::2] < crop[1::2]).all():
        axes = np.stack([np.cross(frame.up, frame.front), frame.up, frame.front])
        q = p @ axes.T
        return ((q < crop[::2]) | (q > crop[1::2])).any(axis=1)
    raise IdfError("This is not a crop", f"{crop.tolist()}",
                   "give the radius of a sphere, or six bounds: right, right, up, up, front, front "
                   "(lower, upper), in scene radii")


# --- all of them ----------------------------------------------------------------------------------

@dataclass(frozen=True)
class Removed:
    """Of `total` Gaussians, how many each rule removed; the first rule that applies counts. kept:
    (total,) bool, those that are left."""

    total: int
    rules: dict[str, int]
    kept: np.ndarray = field(repr=False, compare=False)

    @property
    def count(self) -> int:
        return sum(self.rules.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{n} {name}" for name, n in self.rules.items() if n)
        return f"{self.count} of {self.total} Gaussians removed" + (f" ({parts})" if parts else "")


def clean(g: Gaussians, views: TrainingViews, rasterizer: Rasterizer) -> tuple[Gaussians, Removed]:
    """Return the Gaussians without what lies outside the hull, is unseen, frayed or isolated.

    views: at most 256 pixels large (RESOLUTION). IdfError where nothing would be left: then views
    and model do not belong together.
    """
    c = contributions(g, views, rasterizer)
    masks = {"outside the silhouettes": outside_hull(g, views),
             "unseen": unseen(c), "frayed": frayed(c, len(views)),
             "isolated": isolated(g, views.scene.radius)}
    return apply(g, masks)


def crop(g: Gaussians, frame: SceneFrame, bounds) -> tuple[Gaussians, Removed]:
    """Return the Gaussians without what lies outside the sphere or box of `outside_crop`."""
    return apply(g, {"outside the crop": outside_crop(g, frame, bounds)})


def apply(g: Gaussians, masks: dict[str, np.ndarray]) -> tuple[Gaussians, Removed]:
    """Return what no mask takes away, and the count. IdfError where nothing is left."""
    gone, rules = np.zeros(len(g), bool), {}
    for name, mask in masks.items():
        rules[name] = int((mask & ~gone).sum())
        gone |= mask
    if gone.all():
        raise IdfError("Nothing of the model would be left", str(Removed(len(g), rules, ~gone)),
                       "check that the dataset is the one it was trained on, or widen the crop")
    return g[~gone], Removed(len(g), rules, ~gone)


def clean_scene(scene: GaussianScene, frames) -> tuple[GaussianScene, Removed]:
    """Return a scene cleaned by `clean`. frames: what it was trained on (pictures, cameras)."""
    size = max(max(frames[0].camera.width, frames[0].camera.height), 1) if frames else RESOLUTION
    views = TrainingViews.load(frames, min(RESOLUTION, size))
    _, removed = clean(scene.gaussians, views, scene.rasterizer)
    return scene.only(removed.kept), removed
