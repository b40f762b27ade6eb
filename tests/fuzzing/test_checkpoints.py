"""A checkpoint that does not fit its training is passed over: kernels do not look at bounds."""

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.trainer import State
from tests.fixtures.fuzzing.trainers import TRAINERS, resume, warm, write_checkpoint


@pytest.mark.parametrize("kind", TRAINERS)
def test_its_own_checkpoint_is_gone_on_from(kind, tmp_path):
    write_checkpoint(kind, tmp_path)
    resume(kind, tmp_path)


@pytest.mark.parametrize("kind", TRAINERS)
def test_every_array_of_another_shape_or_kind_is_refused(kind):
    """Of each array one dimension more, a row less, another type, and none at all."""
    trainer, state = warm(kind)
    for name, array in state.arrays.items():
        others = [array[None], np.zeros(array.shape, "c8")]
        if array.ndim:
            others += [array[:-1]] if len(array) else []
        for other in others:
            with pytest.raises(ValueError):
                trainer.check(State(state.arrays | {name: other}, state.meta))
        if not name.startswith("adam."):
            with pytest.raises(ValueError, match="no `"):
                trainer.check(State({k: v for k, v in state.arrays.items() if k != name},
                                    state.meta))
    with pytest.raises(ValueError, match="not of this training"):
        trainer.check(State(state.arrays | {"other": np.zeros(3)}, state.meta))


@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.parametrize("change", [
    {"iteration": -1}, {"iteration": "3"}, {"iteration": True}, {"seconds": -1.0},
    {"mse": float("nan")}, {"rate_factor": 2.0}, {"rollbacks": None}, {"rng": {}},
    {"rng": {"bit_generator": "PCG64", "state": {"state": 2**200, "inc": 1}, "has_uint32": 0,
             "uinteger": 0}}])
def test_counters_that_cannot_be_are_refused(kind, change):
    trainer, state = warm(kind)
    trainer.check(state)
    with pytest.raises(ValueError):
        trainer.check(State(state.arrays, state.meta | change))


def test_an_order_names_each_view_once():
    trainer, state = warm("splats")
    order = state.arrays["order"].copy()
    order[0] = order[1]
    for other in (order, order + 10**6, -order):
        with pytest.raises(ValueError, match="order"):
            trainer.check(State(state.arrays | {"order": other}, state.meta))


def test_vertices_of_a_field_lie_inside_it():
    trainer, state = warm("voxels")
    for change in ({"vertices": state.arrays["vertices"] + 10**6},
                   {"vertices": np.zeros_like(state.arrays["vertices"])},
                   {"shape": state.arrays["shape"] * 1000}, {"shape": -state.arrays["shape"]},
                   {"skip": np.zeros_like(state.arrays["skip"])},
                   {"params": state.arrays["params"] * np.nan}):
        with pytest.raises(ValueError):
            trainer.check(State(state.arrays | change, state.meta))


def test_one_that_does_not_fit_is_passed_over_for_the_one_before(tmp_path):
    """As a crafted file had it: the moments of the opacities with one dimension more."""
    _, state = warm("splats")
    run = write_checkpoint("splats", tmp_path)
    name = "second.opacity_logits"
    write_checkpoint("splats", tmp_path, {name: state.arrays[name][None]},
                     {"iteration": state.meta["iteration"] + 50})
    resume("splats", tmp_path)
    for path in (tmp_path / "checkpoints").glob("*.npz"):
        if str(state.meta["iteration"]) not in path.name:
            continue
        path.unlink()
    with pytest.raises(IdfError):
        resume("splats", tmp_path)
    assert run.manifest
