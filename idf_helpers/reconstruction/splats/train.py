"""Training Gaussian splats on views with known cameras: one class with a step, one function.

The recipe is 3DGS (arXiv 2308.04079) with a schedule that fits any budget: every rate and threshold
goes by the part of the run that is over, in steps or in seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from ...data.training_views import TrainingViews
from ...errors import IdfError
from ...kernels.adam import Adam
from ...kernels.loss import PhotometricLoss
from ..trainer import Progress, ResumableTrainer, State, train_loop
from .config import SplatConfig
from .densify import INVISIBLE, DensifyRules, ScreenStatistics, densify, prune_invisible
from .gaussians import Gaussians
from .in_training import GaussiansInTraining
from .initialize import initial_gaussians
from .scene import GaussianScene
from .screen import PIXEL
from .warm_start import recolored

SAVE_EVERY = 50  # steps between two copies of the state to go back to, on NaN, kill or interrupt
# Adam's learning rates at the start; of the means in scene radii per step. That of the means falls
# to FINAL, exponentially, the others to √FINAL.
RATES = {"means": 1.2e-3, "log_scales": 3e-2, "quats": 8e-3, "opacity_logits": 0.15, "sh": 5e-3}
FINAL = 0.03
# Parts of the run from and until which Gaussians are added, until which runs of few steps may catch
# up, and until which dead ones are moved: nearly transparent ones, and those wider than so many
# scene radii.
GROW_FROM, GROW_UNTIL, CATCH_UP_UNTIL, RELOCATE_UNTIL = 0.02, 0.5, 0.7, 0.85
ROUND_STEPS = 20  # at least, between two rounds: the views of fewer say little of where to grow
DEAD_OPACITY, MAX_SCALE = 0.005, 0.8
# Coarse stages, for pictures whose longer side has so many pixels: until a part of the run only
# every second or fourth pixel of a row and of the rows counts, from a random one on. A smaller
# picture's pixels are means, and teach Gaussians too thin for the full one; these have its values.
# (Side, part of the run, distance), the coarsest first.
COARSE = ((640, 0.15, 4), (640, 0.6, 2), (200, 0.5, 2))
KEPT_LOSSES = 8  # sizes of pictures whose buffers are kept, 48 bytes a pixel
COLORS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}


class Trainer(ResumableTrainer):
    """State of one training. `step()` until `done`; `scene()` at any time.

    views: pictures and cameras. rasterizer: default `CpuRasterizer`.
    points: optional start positions, see `initial_gaussians`.
    start: Gaussians to begin with in place of new ones, see `start_from`; they take the colors of
        these views.
    """

    warm_degree = 0  # of the colors that `start` is given
    rounds = 0  # of growth and relocation, done or left out
    last_round = 0  # the iteration of the last one

    def __init__(self, views: TrainingViews, config: SplatConfig, rasterizer=None, points=None,
                 start: Gaussians | None = None):
        if rasterizer is None:
            from .rasterizer import CpuRasterizer

            rasterizer = CpuRasterizer()
        self.views, self.rasterizer = views, rasterizer
        self.side = max(max(c.width, c.height) for c in views.cameras)
        self.config = config = config.checked().sized(self.side)
        self.radius = views.scene.radius
        self.background = background_mode(views, config)
        self.rng = np.random.default_rng(config.seed)
        if start is not None:
            first = recolored(start_from(start, config), views, rasterizer, self.warm_degree)
        else:
            first = initial_gaussians(views, config.initial, config.sh_degree, self.rng, points,
                                      config.max_gaussians)
        self.model = GaussiansInTraining(rasterizer, first)
        self.statistics = ScreenStatistics.empty(len(first))
        self.first = len(first)  # from which the growth goes
        self.order = self.rng.permutation(len(views))
        self._losses: dict[tuple[int, int], PhotometricLoss] = {}
        self._saved = self.state()

    @property
    def gaussians(self) -> Gaussians:
        return self.model.gaussians

    @gaussians.setter
    def gaussians(self, new: Gaussians) -> None:
        self.model.gaussians = new

    @property
    def adam(self) -> Adam:
        return self.model.adam

    # --- schedule ---------------------------------------------------------------------------------

    @property
    def active_sh_degree(self) -> int:
        return min(self.config.sh_degree, sum(self.fraction >= f for f in self.config.sh_steps))

    @property
    def every(self) -> int:
        """How far apart the pixels are that count at present."""
        return next((step for side, until, step in COARSE
                     if self.side >= side and self.fraction < until), 1)

    def learning_rates(self) -> dict[str, float]:
        decay, factor = FINAL**self.fraction, self.config.rate
        rates = {name: factor * rate * math.sqrt(decay) for name, rate in RATES.items()}
        rates["means"] = factor * RATES["means"] * self.radius * decay
        return {name: rate * self.rate_factor for name, rate in rates.items()}

    # --- one step ---------------------------------------------------------------------------------

    def step(self) -> float:
        """Take one view: render, compare, move; return the loss.

        Non-finite numbers bring back the last good state (at most 50 steps old) with half the
        learning rates; IdfError after three times.
        """
        start = time.perf_counter()
        index = int(self.order[self.iteration % len(self.views)])
        background, views, every = self._next_background(), self.views, self.every
        if every > 1:
            x, y = self.rng.integers(0, every, 2)
            views, index = views.every(index, every, int(x), int(y)), 0
        target = views.target(index, background)
        degree = self.active_sh_degree
        rgb = self.model.forward(views.cameras[index], background, degree, PIXEL / every**2)
        views.leave_out(index, target, rgb)
        loss = self._loss(target.shape[1:])(rgb, target)
        if not math.isfinite(loss.loss):
            self._roll_back("the loss")
            return loss.loss
        self.iteration += 1
        self.statistics.add(*self.model.step(loss.gradient, self.learning_rates(), self.iteration,
                                             degree))
        self.take_mse(loss.mse)
        self._densify_if_due()
        if self.iteration % len(self.views) == 0:
            self.order = self.rng.permutation(len(self.views))
        self.seconds += time.perf_counter() - start
        if self.iteration % SAVE_EVERY == 0 or self.done:
            self._save_state()
        return loss.loss

    def _next_background(self) -> np.ndarray:
        if self.background == "random" and self.fraction < self.config.random_until:
            return self.rng.random(3, np.float32)
        return np.array(COLORS.get(self.background, COLORS["white"]), np.float32)

    def _loss(self, size: tuple[int, int]) -> PhotometricLoss:
        if size not in self._losses:
            if len(self._losses) == KEPT_LOSSES:
                self._losses.clear()
            self._losses[size] = PhotometricLoss(*size, self.config.lambda_dssim)
        return self._losses[size]

    def _densify_if_due(self) -> None:
        """Do a round where the part of the run has come to the next one: growth then reaches the
        limit in any budget, on any machine."""
        part = (self.fraction - GROW_FROM) / (GROW_UNTIL - GROW_FROM)
        due = 1 + math.floor(part * self.config.rounds)
        if (due <= self.rounds or part < 0 or self.fraction > RELOCATE_UNTIL
                or (steps := self.iteration - self.last_round) < ROUND_STEPS
                or not self.config.rounds):
            return
        self.rounds, self.last_round = due, self.iteration
        room = self.config.max_gaussians / self.first
        rules = DensifyRules(int(self.first * room ** min(part, 1)),
                             math.expm1(min(steps / 100 * math.log1p(self.config.growth), 100)),
                             DEAD_OPACITY, MAX_SCALE)
        self.gaussians, _, _ = densify(self.gaussians, self.adam, self.statistics, rules,
                                       self.radius, self.fraction <= CATCH_UP_UNTIL, self.rng)
        self.statistics = ScreenStatistics.empty(len(self.gaussians))

    def warm_up(self) -> None:
        """Compile (or load) every kernel, so that the clock does not count it; no effect on the
        result."""
        black = np.zeros(3, np.float32)
        target = self.views.target(0, black)
        some = GaussiansInTraining(self.rasterizer, self.model.copy()[:64])
        rgb = some.forward(self.views.cameras[0], black, 0)
        rates = dict.fromkeys(Gaussians.__dataclass_fields__, 0.0)
        some.step(self._loss(target.shape[1:])(rgb, target).gradient, rates, 1, 0)

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of everything that the rest of the run depends on."""
        arrays = {"screen.total": self.statistics.total, "screen.count": self.statistics.count,
                  "order": self.order}
        arrays = {k: a.copy() for k, a in arrays.items()} | self.model.copies()
        return State(arrays, self.counters())

    def counters(self) -> dict:
        return super().counters() | {"rounds": self.rounds, "last_round": self.last_round}

    def check(self, state: State) -> None:
        super().check(state)
        for name in ("rounds", "last_round"):
            if type(value := state.meta.get(name)) is not int or not 0 <= value < 2**53:
                raise ValueError(f"`{name}` is {value!r}"[:80])

    def set_counters(self, state: State) -> None:
        super().set_counters(state)
        self.rounds, self.last_round = state.meta["rounds"], state.meta["last_round"]

    growing = dict.fromkeys(("gaussians.", "first.", "second.", "screen."), "N")
    finite = ("gaussians.",)

    def restore(self, state: State) -> None:
        """Go to a state of the same views and config; what follows does not change `state`."""
        def part(prefix):
            return {k.removeprefix(prefix): a.copy() for k, a in state.arrays.items()
                    if k.startswith(prefix)}

        self.model = GaussiansInTraining(self.rasterizer, Gaussians(**part("gaussians.")))
        self.adam.first, self.adam.second = part("first."), part("second.")
        self.statistics = ScreenStatistics(**part("screen."))
        self.order = state.arrays["order"].copy()
        self.set_counters(state)

    def _save_state(self) -> None:
        if name := self.model.not_finite():
            self._roll_back(f"`{name}`")
            return
        self._saved = self.state()

    # --- results ----------------------------------------------------------------------------------

    def scene(self) -> GaussianScene:
        """Return what is there now, a copy without the invisible Gaussians."""
        color = COLORS.get(self.background, COLORS["white"])
        gaussians = prune_invisible(self.model.copy())
        return GaussianScene(gaussians, self.rasterizer, list(self.views.cameras), color,
                             self.report(num_gaussians=len(gaussians)))

    @property
    def count(self) -> int:
        return len(self.model)


def fit(dataset, config: SplatConfig, *, run=None, rasterizer=None,
        progress: Callable[[Progress], None] | None = None,
        progress_every_s: float = 0.5, points=None, start: Gaussians | None = None,
        trainer: Callable[..., Trainer] = Trainer) -> GaussianScene:
    """Train on `dataset.train` until the iterations or the budget of `config` are used up.

    run: a `RunFolder`; the run goes on from its latest checkpoint, writes new ones by time, and one
    at an interrupt (KeyboardInterrupt is passed on; the same call again goes on). A run given in
    iterations ends bit-identical however often it was stopped; a budget goes on with what is left.
    progress: called at most every `progress_every_s` seconds, and at the end.
    points: optional (N, 3 or 6) start positions. start: Gaussians of an earlier training to go on
    from, on other pictures of the same scene, see `start_from`. trainer: called with views,
    config, rasterizer, points and start. Raises IdfError: bad config, no frames, silhouettes
    without volume, diverged training.
    """
    views = TrainingViews.load(dataset.train, config.checked().resolution)
    training = trainer(views, config, rasterizer, points, start)
    train_loop(training, run, progress, progress_every_s)
    return training.scene()


def start_from(start: Gaussians, config: SplatConfig) -> Gaussians:
    """Return a copy of trained Gaussians to train further: those of `visible`; color in
    `sh_degree` (cut, or filled up with zeros). IdfError where fewer than 16 are left."""
    kept = start.checked()[visible(start, config)]
    if len(kept) < 16:
        raise IdfError("This model cannot start a training", f"{len(kept)} visible Gaussians",
                       "give a trained model")
    kept = kept.with_bases((config.sh_degree + 1) ** 2)
    return Gaussians(**{k: a.copy() for k, a in kept.arrays().items()}).checked()


def visible(start: Gaussians, config: SplatConfig) -> np.ndarray:
    """Return the places of the Gaussians that a picture can show, in their order; of the most
    opaque `max_gaussians` of them, but of all in a refit, which takes none away."""
    seen = np.flatnonzero(start.opacities >= INVISIBLE)
    if (config.refit is None and config.max_gaussians is not None
            and len(seen) > config.max_gaussians):
        most = np.argsort(-start.opacity_logits[seen], kind="stable")[:config.max_gaussians]
        seen = seen[np.sort(most)]
    return seen


def background_mode(views: TrainingViews, config: SplatConfig) -> str:
    """Return the mode without "auto"; IdfError where a random one cannot work."""
    if config.background == "random" and not views.has_alpha:
        raise IdfError("A random background needs pictures with alpha", "RGB pictures",
                       "use background white, black or auto")
    if config.background != "auto":
        return config.background
    if views.has_alpha:
        return "random"
    return "white" if views.border_color().mean() > 0.5 else "black"
