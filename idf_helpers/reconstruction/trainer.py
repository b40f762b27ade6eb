"""What all trainings share: progress, state, recovery from NaN, and the loop with
checkpoints, progress and a clean stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import IdfError
from ..runtime.machine import peak_rss_mb
from ..runtime.npz import fit, like

MAX_ROLLBACKS = 3


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    iteration: steps done. fraction: part of the run in [0, 1]. seconds: of optimization.
    iterations_per_s: over the whole run. psnr_train: dB, smoothed over some 50 steps; NaN unknown.
    count, unit: what the model consists of, e.g. 40000 "Gaussians"; 0 where it is not known.
    memory_mb: most resident memory of the process so far (10^6 bytes).
    preview: (camera, background=None) -> (H, W, 3) float32 picture of the state right now.
    loss: as an upstream program prints it; NaN unknown.
    """

    iteration: int
    fraction: float
    seconds: float
    psnr_train: float
    count: int
    unit: str
    preview: Callable
    memory_mb: float = dataclass_field(default_factory=peak_rss_mb)
    loss: float = math.nan

    @property
    def iterations_per_s(self) -> float:
        return self.iteration / max(self.seconds, 1e-9)

    @property
    def size(self) -> str:
        """What the model consists of, as text; "" where that is not known."""
        return f"{self.count} {self.unit}" if self.count else ""


class State(NamedTuple):
    """arrays: numeric arrays by name. meta: counters, clock and random state, ready for JSON."""

    arrays: dict[str, np.ndarray]
    meta: dict


class ResumableTrainer:
    """A trainer that keeps its last good state and can go back to it.

    A subclass has `config` (with `steps` and `budget`, one of them None), `rng`, `step()`,
    `scene()`, `count`, `state()`, which holds the `counters()`, and `restore(state)`, which ends
    with `set_counters(state)`; it multiplies its learning rates by `rate_factor`, sets `_saved`
    where the state is good, and calls `_roll_back` where it is not.

    remedy: what its users can do about it, for the message. unit: what the model consists of.
    rate_factor: halved at each rollback. growing: how the names of a state's arrays begin whose
    length may change -> a letter for it, see `npz.like`. finite: of arrays that hold no NaN.
    """

    growing: ClassVar[Mapping[str, str]] = {}
    finite: ClassVar[tuple[str, ...]] = ()

    remedy = "lower the setting `rate`"
    unit = "Gaussians"
    rate_factor = 1.0
    rollbacks = 0
    iteration = 0
    seconds = 0.0
    mse: Any = None
    rng: np.random.Generator
    _saved: State

    @property
    def fraction(self) -> float:
        """Part of the run that is over, in [0, 1]."""
        c = self.config
        done = self.seconds / c.budget if c.steps is None else self.iteration / c.steps
        return min(done, 1.0)

    @property
    def done(self) -> bool:
        return self.fraction >= 1.0

    @property
    def psnr_train(self) -> float:
        """dB over the last steps, NaN before the first."""
        return math.nan if self.mse is None else -10 * math.log10(max(float(self.mse), 1e-10))

    @property
    def saved_state(self) -> State:
        """The last good state: what a checkpoint holds. A run that goes on from it takes the same
        path as one that was never stopped, rollbacks included."""
        return self._saved

    def take_mse(self, mse: float) -> None:
        """Follow the mean squared error of a step."""
        self.mse = float(mse) if self.mse is None else 0.96 * self.mse + 0.04 * mse

    def counters(self) -> dict:
        """Return the part of a state's meta that all trainers share."""
        return {"iteration": self.iteration, "seconds": self.seconds,
                "mse": None if self.mse is None else float(self.mse),
                "rate_factor": self.rate_factor, "rollbacks": self.rollbacks,
                "rng": self.rng.bit_generator.state}

    def schema(self, state: State) -> dict[str, str]:
        """Return the declaration of a state's arrays, see `npz.fit`."""
        return like(self._saved.arrays, self.growing, self.finite)

    def check(self, state: State) -> None:
        """Raise ValueError unless `restore` can go to the state: kernels do not look at bounds."""
        meta = state.meta
        for name, kind, low, high in (("iteration", int, 0, 2**53), ("rollbacks", int, 0, 2**31),
                                      ("seconds", (int, float), 0, 1e12),
                                      ("rate_factor", (int, float), 0, 1),
                                      ("mse", (int, float, type(None)), 0, 1e30)):
            value = meta.get(name, "")
            if not isinstance(value, kind) or isinstance(value, bool) \
                    or value is not None and not low <= value <= high:
                raise ValueError(f"`{name}` is {value!r}"[:80])
        try:
            np.random.default_rng().bit_generator.state = meta.get("rng")
        except (KeyError, TypeError, OverflowError, AttributeError) as error:
            raise ValueError(f"the random state: {error}") from None
        schema = self.schema(state)
        known = {name.removesuffix("?") for name in schema}
        if unknown := [name for name in state.arrays if name not in known]:
            raise ValueError(f"`{unknown[0]}` is not of this training")
        fit(state.arrays, schema)
        if "order" in state.arrays and (np.sort(state.arrays["order"])
                                        != np.arange(len(state.arrays["order"]))).any():
            raise ValueError("`order` is no order of the views")

    def set_counters(self, state: State) -> None:
        """Restore what `counters` returned; `state` is the last good one from now on."""
        meta = state.meta
        self.iteration, self.seconds, self.mse = meta["iteration"], meta["seconds"], meta["mse"]
        self.rate_factor, self.rollbacks = meta["rate_factor"], meta["rollbacks"]
        self.rng.bit_generator.state = meta["rng"]
        self._saved = state

    def report(self, **counts) -> dict:
        """Return what a scene's `training` holds."""
        return {"iterations": self.iteration, "seconds": round(self.seconds, 3),
                "rollbacks": self.rollbacks} | counts

    def progress(self) -> Progress:
        """Return the progress of the training, with a preview of its present state."""
        def preview(camera, background=None):
            return self.scene().render(camera, background=background)

        return Progress(self.iteration, self.fraction, self.seconds, self.psnr_train, self.count,
                        self.unit, preview)

    def warm_up(self) -> None:
        """Compile or load what the steps need, so that the clock does not count it. Called before a
        checkpoint is restored; no effect on the result."""

    def _roll_back(self, where: str) -> None:
        """To the last good state with half the learning rates; IdfError after three times.

        where: what holds NaN or infinity.
        """
        at, rollbacks, factor = self.iteration, self.rollbacks, self.rate_factor
        if rollbacks == MAX_ROLLBACKS:
            raise IdfError(f"The training diverged at step {at}",
                           f"NaN or infinity in {where}, {MAX_ROLLBACKS} times in spite of "
                           "halved learning rates", self.remedy)
        self.restore(self._saved)
        self.rollbacks, self.rate_factor = rollbacks + 1, 0.5 * factor
        self._saved = self.state()


def train_loop(trainer: ResumableTrainer, run=None,
               progress: Callable[[Progress], None] | None = None,
               progress_every_s: float = 0.5) -> None:
    """Step until the trainer is done, from the latest checkpoint of `run` on where there is one.

    run: a `RunFolder`; the last good state becomes a checkpoint by time, and at an interrupt
    (KeyboardInterrupt is passed on), which can come in the middle of a step.
    progress: called at most every `progress_every_s` seconds, and at the end.
    """
    trainer.warm_up()
    checkpoint = None if run is None else run.latest_checkpoint(
        lambda arrays, meta: trainer.check(State(arrays, meta)))
    if checkpoint is not None:
        trainer.restore(State(*checkpoint))
    reported, written = -math.inf, trainer.saved_state
    try:
        while not trainer.done:
            trainer.step()
            if progress is not None and time.monotonic() - reported >= progress_every_s:
                progress(trainer.progress())
                reported = time.monotonic()
            if run is not None and trainer.saved_state is not written and run.checkpoint_due():
                written = trainer.saved_state
                run.save_checkpoint(written.meta["iteration"], *written)
    except KeyboardInterrupt:
        if run is not None:
            run.save_checkpoint(trainer.saved_state.meta["iteration"], *trainer.saved_state)
        raise
    if progress is not None:
        progress(trainer.progress())
