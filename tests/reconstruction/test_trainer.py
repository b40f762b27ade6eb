"""The loop and the way back that all trainers share, on one that only counts."""

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.trainer import MAX_ROLLBACKS, ResumableTrainer, State, train_loop


class Counter(ResumableTrainer):
    """Adds its rate at each step; bad: steps after which the sum is NaN, once each."""

    remedy = "lower lr_count"

    def __init__(self, steps=20, bad=(), every=5, stop_at=None):
        self.steps, self.bad, self.every, self.stop_at = steps, list(bad), every, stop_at
        self.iteration, self.sum = 0, np.zeros(1)
        self._saved = self.state()

    done = property(lambda self: self.iteration >= self.steps)

    def step(self):
        self.iteration += 1
        self.sum += self.rate_factor
        if self.iteration == self.stop_at:
            self.sum += 1000  # half of a step
            raise KeyboardInterrupt
        if self.iteration in self.bad:
            self.bad.remove(self.iteration)
            self.sum[:] = np.nan
        if self.iteration % self.every == 0:
            if np.isfinite(self.sum).all():
                self._saved = self.state()
            else:
                self._roll_back("the sum")

    def progress(self):
        return self.iteration

    def state(self):
        return State({"sum": self.sum.copy()}, {
            "iteration": self.iteration, "rate_factor": self.rate_factor,
            "rollbacks": self.rollbacks})

    def restore(self, state):
        self.sum = state.arrays["sum"].copy()
        self.iteration, self.rate_factor, self.rollbacks = state.meta.values()
        self._saved = state


class Run:
    """A run folder in memory: a checkpoint is due whenever it is asked."""

    def __init__(self):
        self.kept = {}

    def latest_checkpoint(self, check):
        return self.kept[max(self.kept)] if self.kept else None

    def checkpoint_due(self):
        return True

    def save_checkpoint(self, iteration, arrays, meta):
        self.kept[iteration] = State(arrays, meta)


def test_nan_goes_back_to_the_last_good_state_with_half_the_rates():
    trainer = Counter(bad=[7])
    train_loop(trainer)
    assert trainer.iteration == 20 and trainer.sum[0] == 5 + 15 * 0.5
    assert (trainer.rollbacks, trainer.rate_factor) == (1, 0.5)


def test_again_and_again_is_an_error_that_says_what_to_lower():
    trainer = Counter(bad=[7] * 9)
    with pytest.raises(IdfError, match="diverged at step 10") as caught:
        train_loop(trainer)
    assert trainer.rollbacks == MAX_ROLLBACKS and "lower lr_count" in str(caught.value)
    assert "NaN or infinity in the sum" in str(caught.value)


def test_checkpoints_hold_good_states_and_a_run_goes_on_from_them():
    straight = Counter(bad=[7, 13])
    train_loop(straight)
    run, stopped = Run(), Counter(bad=[7, 13], stop_at=18)
    with pytest.raises(KeyboardInterrupt):
        train_loop(stopped, run)
    assert set(run.kept) == {5, 10, 15}, "and no half of a step"
    for at, bad in ((5, [13]), (15, [])):
        resumed, earlier = Counter(bad=bad), Run()
        earlier.kept[at] = run.kept[at]
        train_loop(resumed, earlier)
        assert resumed.sum == straight.sum and resumed.rollbacks == straight.rollbacks


def test_progress_is_told_now_and_then_and_at_the_end():
    told = []
    train_loop(Counter(), progress=told.append, progress_every_s=3600)
    assert told == [1, 20]
    told.clear()
    train_loop(Counter(), progress=told.append, progress_every_s=0)
    assert told == [*range(1, 21), 20]
