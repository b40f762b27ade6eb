"""Training: the expression is learned, runs repeat to the bit, broken numbers are rolled back."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.evaluation import evaluate_run
from idf_helpers.reconstruction import load, reconstruct
from idf_helpers.reconstruction.avatar import train
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.expression_pca import principal_weights, visible_weights
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.reconstruction.avatar.train import Trainer, build_mattes, fit
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.runs import RunFolder
from tests.fixtures.avatars import LEARNED, SMALL
from tests.fixtures.talking import write_talking


def read_metrics(out):
    return read_json(out / "metrics.json")


def test_the_expression_is_learned(trained):
    """Better than a model that cannot move, and than with other frames' expressions."""
    out, _ = trained
    m = read_metrics(out)
    assert m["psnr"] > m["static"]["psnr"] + 0.5
    assert m["psnr_moving"] > m["static"]["psnr_moving"] + 1.5
    assert m["psnr_moving"] > m["shuffled"]["psnr_moving"] + 1.0
    assert m["moving"] < m["num_gaussians"]  # hair and background stand still


def test_the_run_folder_holds_what_it_should(trained, talking):
    out, scene = trained
    there = {p.name for p in out.iterdir()}
    assert {"avatar.npz", "static.npz", "held_out.jpg", "expressions.jpg", "per_view.json",
            "metrics.json", "run.json"} <= there and "cache" not in there
    again = reconstruct(Dataset.open(talking), out, "avatar:cpu", LEARNED)
    camera = scene.cameras[3]
    assert np.array_equal(again.render(camera, {"jawOpen": 0.7}),
                          scene.render(camera, {"jawOpen": 0.7}))
    rows = evaluate_run(out)
    assert {r.get("model") for r in rows} == {"avatar", "shuffled", "static"}
    assert rows[-1]["model"] == "avatar" and rows[-1]["view"] == "mean"
    assert rows[-1]["psnr"] == pytest.approx(read_metrics(out)["psnr"], abs=0.01)


def test_render_follows_edits_and_lies_before_the_room(trained):
    _, scene = trained
    camera = scene.front
    rest, jaw = scene.render(camera), scene.render(camera, {"jawOpen": 1.0})
    assert rest.shape == (48, 48, 3) and rest.dtype == np.float32
    changed = np.abs(rest - jaw).max(axis=2) > 0.05
    assert 5 < changed.sum() < 0.3 * changed.size
    white = scene.render(camera, background=(1, 1, 1))
    corner = scene.avatar.extra["background"][0, 0] / 255
    np.testing.assert_allclose(rest[0, 0], corner, atol=0.02)
    np.testing.assert_allclose(white[0, 0], 1, atol=0.02)
    full = scene.render_full(camera)
    assert full.alpha[24, 24] > 0.9 and full.alpha[0, 0] < 0.1
    assert full.depth[24, 24] == pytest.approx(0.43, abs=0.05)


def _trainer(root, tmp_path, **kw):
    data = Dataset.open(root)
    config = AvatarConfig(**(SMALL | {"iterations": 120, "densify_from": 20, "densify_every": 30}
                             | kw))
    source = FrameSource(data, data.train, tmp_path / "frames", 48)
    return source, build_mattes(source, tmp_path / "mattes").array()[..., 0], config


def test_a_run_in_iterations_repeats_to_the_bit_after_kills(talking, tmp_path, monkeypatch):
    source, mattes, config = _trainer(talking, tmp_path)
    straight = fit(source, mattes, config)

    class Killed(Exception):
        pass

    monkeypatch.setattr(RunFolder, "checkpoint_due", lambda self: True)
    steps = iter((35, 61, 10**9))
    scene = None
    while scene is None:
        left = next(steps)
        plain = Trainer.step

        def step(self, left=[left], plain=plain):  # noqa: B006
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return plain(self)

        with RunFolder(tmp_path / "run", stage="avatar", backend="cpu", config=config,
                       inputs={}) as run, monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", step)
            try:
                scene = fit(source, mattes, config, run=run)
            except Killed:
                assert (run.latest_checkpoint() is not None) == (left > 50)  # every 50 steps
    for name, values in straight.avatar.gaussians.arrays().items():
        assert np.array_equal(values, scene.avatar.gaussians.arrays()[name]), name
    for name, values in straight.avatar.deltas.items():
        assert np.array_equal(values, scene.avatar.deltas[name]), name
    assert np.array_equal(straight.avatar.extra["shade"], scene.avatar.extra["shade"])


def test_nan_is_rolled_back_and_thrice_is_an_error(talking, tmp_path):
    source, mattes, config = _trainer(talking, tmp_path)
    trainer = Trainer(source, mattes, config)
    for _ in range(55):
        trainer.step()
    trainer.head.gaussians.means[:] = np.nan
    trainer.head.deltas[:] = np.nan
    while trainer.rollbacks == 0:
        trainer.step()
    assert trainer.rate_factor == 0.5 and trainer.iteration <= 50
    assert np.isfinite(trainer.head.gaussians.means).all()
    with pytest.raises(IdfError, match="diverged"):
        while True:
            trainer.head.deltas[:] = np.nan
            trainer.head.gaussians.sh[:] = np.nan
            trainer.step()


def test_a_budget_ends_and_an_interrupt_keeps_what_is_there(talking, tmp_path, monkeypatch):
    source, mattes, config = _trainer(talking, tmp_path, iterations=None, budget_s=0.3)
    now = itertools.count()  # a made-up clock: each step takes 0.01 s
    with monkeypatch.context() as patch:
        patch.setattr(train, "time", SimpleNamespace(perf_counter=lambda: 0.01 * next(now)))
        scene = fit(source, mattes, config)
    assert scene.training["seconds"] == pytest.approx(0.3, abs=0.011)
    assert scene.training["iterations"] in (30, 31)
    plain = Trainer.step

    def stop_at_60(self):
        if self.iteration == 60:
            raise KeyboardInterrupt
        return plain(self)

    monkeypatch.setattr(Trainer, "step", stop_at_60)
    with pytest.raises(KeyboardInterrupt), RunFolder(
            tmp_path / "run", stage="avatar", backend="cpu", config={}, inputs={}) as run:
        fit(source, mattes, AvatarConfig(iterations=100, **SMALL), run=run)
    _, meta = run.latest_checkpoint()
    assert meta["iteration"] == 50


def test_shoulders_that_stay_get_a_layer_of_their_own(tmp_path):
    root = write_talking(tmp_path / "data", train=24, torso=True)
    source, mattes, config = _trainer(root, tmp_path)
    trainer = Trainer(source, mattes, config)
    assert trainer.torso is not None
    while not trainer.done:
        trainer.step()
    scene = trainer.scene()
    a, b = source.cameras[2], source.cameras[10]
    assert np.abs(a.position - b.position).max() > 0.05
    for camera in (a, b):  # the green bar is where it was, whatever the head does
        picture = scene.render(camera)
        assert picture[-3, 24, 1] > picture[-3, 24, 0] + 0.2
    assert len(scene.avatar.frozen()) == len(scene.avatar.gaussians) + len(scene.avatar.still)
    off = Trainer(source, mattes, AvatarConfig(torso="off", **SMALL))
    assert off.torso is None


def test_no_layer_for_shoulders_that_turn_with_the_head(talking, tmp_path):
    source, mattes, config = _trainer(talking, tmp_path)
    assert Trainer(source, mattes, config).torso is None


def test_principal_weights_ignore_what_never_changes():
    rng = np.random.default_rng(0)
    e = np.zeros((50, 5), np.float32)
    e[:, 1], e[:, 3] = rng.standard_normal((2, 50))
    w = principal_weights(e, 4)
    assert w.shape == (5, 4) and not w[[0, 2, 4]].any() and not w[:, 2:].any()
    z = (e - e.mean(axis=0)) @ w
    assert z[:, 0].std() == pytest.approx(1, abs=1e-3) and abs(np.corrcoef(z[:, :2].T)[0, 1]) < 1e-3


def _shown(rng, frames=120):
    """Expressions whose second value changes most and shows nothing, poses, and errors that follow
    the first and third."""
    e = rng.standard_normal((frames, 6)) * (0.2, 1.0, 0.1, 0.3, 0.3, 0)
    poses = rng.standard_normal((frames, 3))
    looks = rng.standard_normal((2, 40)) * [[1.0], [2.0]]
    errors = e[:, [0, 2]] @ looks + poses @ rng.standard_normal((3, 40))
    return e.astype(np.float32), poses, (errors + 0.02 * rng.standard_normal(errors.shape)), looks


def test_visible_weights_are_of_what_pictures_show():
    e, poses, errors, _ = _shown(np.random.default_rng(0))
    chosen = np.arange(0, len(e), 2)
    w = visible_weights(e, chosen, poses[chosen], errors[chosen].astype(np.float32), 4)
    assert w.shape == (6, 4) and w.dtype == np.float32 and not w[5].any()
    z = (e - e.mean(axis=0)) @ w
    assert z[:, 0].std() == pytest.approx(1, abs=1e-3)
    assert (z[:, 2:].std(axis=0) < 0.1).all()  # two directions show, the others hardly count
    share = np.linalg.lstsq(np.c_[e[:, [0, 2]], np.ones(len(e))], z[:, :2], rcond=None)
    assert (share[1] < 0.02 * (z[:, :2] ** 2).sum(axis=0)).all()
    assert np.abs(principal_weights(e, 1)).argmax() == 1  # that the variance alone would take


def test_visible_weights_fall_back_where_nothing_shows():
    rng = np.random.default_rng(1)
    e, poses, errors, _ = _shown(rng)
    all_of = np.arange(len(e))
    alone = principal_weights(e, 4)
    noise = rng.standard_normal(errors.shape).astype(np.float32)
    assert np.array_equal(visible_weights(e, all_of, poses, noise * 0, 4), alone)
    assert np.array_equal(visible_weights(e, all_of, poses, noise, 4), alone)
    assert np.array_equal(visible_weights(e, all_of[:6], poses[:6], noise[:6], 4), alone)
    assert visible_weights(e, all_of, poses, noise, 0).shape == (6, 0)


def test_appearance_follows_the_exposure_and_nothing_else(talking, tmp_path):
    """Frames of another brightness train the same head: the table takes it up."""
    source, mattes, config = _trainer(talking, tmp_path, iterations=400)
    bright = source.pictures[:].astype(np.float32)
    bright[::2] = np.clip(bright[::2] * 0.85, 0, 255)
    source.pictures = bright.astype(np.uint8)
    trainer = Trainer(source, mattes, config)
    while not trainer.done:
        trainer.step()
    gain = trainer.appearance.table[:, :3].mean(axis=1)
    offset = trainer.appearance.table[:, 3:].mean(axis=1)
    level = gain + 2 * offset  # of a mid gray
    assert level[1::2].mean() - level[::2].mean() > 0.03


def test_mean_error_is_reported(trained):
    out, _ = trained
    rows = json.loads((out / "per_view.json").read_text())
    own = [r["psnr"] for r in rows if r["model"] == "avatar"]
    assert len(own) == 8 and np.mean(own) == pytest.approx(read_metrics(out)["psnr"], abs=0.01)
    assert load(out).training == {}


def test_another_rasterizer_trains_the_same_avatar(talking, tmp_path):
    """Through the door that gsplat comes in by: torch's gradients, the first steps alike."""
    from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
    from idf_helpers.reconstruction.splats.torch_rasterizer import ReferenceRasterizer

    data = Dataset.open(talking)
    source = FrameSource(data, data.train[:4], tmp_path / "frames", 20)
    mattes = build_mattes(source, tmp_path / "mattes").array()[..., 0]
    config = AvatarConfig(iterations=5, initial=60, max_gaussians=60, still_until=0.3, rank=2)
    ends = []
    for rasterizer in (CpuRasterizer(), ReferenceRasterizer()):
        trainer = Trainer(source, mattes, config, rasterizer)
        while not trainer.done:
            trainer.step()
        assert trainer.released
        ends.append(trainer.scene().render(source.cameras[1]))
    assert np.abs(ends[0] - ends[1]).mean() < 0.01
