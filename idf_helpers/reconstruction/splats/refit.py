"""Splats of a scene fitted to other pictures of it, Gaussian by Gaussian: a restyled head is the
old one in other colors, so that nothing is added or taken away, and the order stays.

Colors come first, while the shapes stay; then the shapes move, too, where `SplatConfig.refit` says
so. What the Gaussians were before stays with the scene (`style`). DGE (arXiv 2404.18929) fits
edited views in 1000 steps from the splats before the edit; benchmarks/style_loop.py has how many
of these are enough.
"""

from __future__ import annotations

from ...data.training_views import TrainingViews
from .config import SplatConfig
from .gaussians import Gaussians
from .scene import GaussianScene
from .style import check_pair
from .train import COLORS, Trainer, visible

# Highest degree of the color that is learned. What lies above goes, which costs nothing that can be
# measured; a page with both then need not hold it twice.
DEGREE = 2
MOVING = ("means", "log_scales")  # of the shapes; turning or fading them, too, is worth 0.1 dB


class Refit(Trainer):
    """A training that keeps the number of its Gaussians and their order.

    start: the Gaussians to begin with. original: those before any restyling, where these are
    restyled ones themselves, of the same number and order; None: `start`.
    """

    warm_degree = DEGREE

    def __init__(self, views: TrainingViews, config: SplatConfig, rasterizer, points,
                 start: Gaussians, original: Gaussians | None = None):
        super().__init__(views, config, rasterizer, points, start)
        first = start if original is None else original
        if original is not None:
            check_pair(original, start)
        now = self.gaussians
        self.original = first[visible(start, self.config)].with_bases(now.sh.shape[1])
        now.sh[:, (DEGREE + 1)**2:] = 0
        self._saved = self.state()

    @property
    def active_sh_degree(self) -> int:
        return min(self.config.sh_degree, DEGREE)

    def learning_rates(self) -> dict[str, float]:
        learned = ("sh", *MOVING) if self.fraction >= self.config.refit < 1 else ("sh",)
        return {name: rate if name in learned else 0.0
                for name, rate in super().learning_rates().items()}

    def _densify_if_due(self) -> None:
        """Keep them all."""

    def scene(self) -> GaussianScene:
        """Return what is there now, a copy, with the Gaussians before."""
        now = self.model.copy()
        return GaussianScene(now, self.rasterizer, list(self.views.cameras),
                             COLORS.get(self.background, COLORS["white"]),
                             self.report(num_gaussians=len(now)), original=self.original)
