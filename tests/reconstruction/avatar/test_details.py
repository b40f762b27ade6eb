"""What pictures show beyond the named expressions: taken where it tells more, kept apart."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.data.dataset import Dataset
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.details import Details, predicted
from idf_helpers.reconstruction.avatar.frame_source import FrameSource
from idf_helpers.reconstruction.avatar.method import posed
from idf_helpers.reconstruction.avatar.scene import AvatarScene
from idf_helpers.reconstruction.avatar.train import Trainer, build_mattes
from tests.fixtures.avatars import SMALL, make_avatar


def test_names_predict_what_follows_them():
    rng = np.random.default_rng(0)
    e = np.concatenate([rng.random((80, 3)), np.full((80, 1), 0.3)], 1).astype(np.float32)
    follows = e[:, :2] @ [[1.0, -0.5], [0.2, 2.0]]
    details = np.concatenate([follows, rng.standard_normal((80, 1))], 1).astype(np.float32)
    said = predicted(e, details)
    assert said.shape == (4, 3) and not said[3].any()
    left = details - details.mean(0) - (e - e.mean(0)) @ said
    assert (left[:, :2].std(0) < 0.05 * details[:, :2].std(0)).all()
    assert left[:, 2].std() > 0.9 * details[:, 2].std()
    assert predicted(e, details[:, :0]).shape == (4, 0)


def test_an_expression_by_names_alone_has_no_details(tmp_path):
    avatar = make_avatar()
    basis = replace(avatar.basis, details=np.array([[0.5, -1.0]], np.float32))
    avatar = replace(avatar, basis=basis)
    e = np.array([0.4, 0.2, 0, 0], np.float32)
    assert np.array_equal(basis.coefficients(e), basis.coefficients([*e, 0.0]))
    moved = basis.coefficients(basis.expression([*e, 2.0])) - basis.coefficients(e)
    np.testing.assert_allclose(moved, [1, -2], atol=1e-6)
    assert basis.edit({"jawOpen": 9}, start=[*e, 2.0]).tolist() == pytest.approx([1, 0.2, 0, 0, 2])
    avatar.save(tmp_path / "avatar.npz")
    again = BlendAvatar.load(tmp_path / "avatar.npz")
    assert np.array_equal(again.basis.details, basis.details) and set(again.extra) == {"light"}
    with pytest.raises(IdfError, match="another length"):
        basis.expression([*e, 2.0, 1.0])
    with pytest.raises(IdfError, match="damaged"):
        replace(basis, details=np.zeros((1, 5), np.float32))


@pytest.fixture
def mute(talking, tmp_path):
    """The ball, its mouth left out of the named expressions; and that as a detail, and noise."""
    data = Dataset.open(talking)
    source = FrameSource(data, data.train, tmp_path / "frames", 48)
    mouth = source.expressions[:, :1].copy()
    source.expressions[:, 0] = 0
    mattes = build_mattes(source, tmp_path / "mattes").array()[..., 0]
    return data, source, mattes, mouth


def _trained(source, mattes, details, iterations):
    trainer = Trainer(source, mattes, AvatarConfig(**(SMALL | {"iterations": iterations})),
                      details=details)
    while not trainer.done:
        trainer.step()
    return trainer.scene()


def test_details_show_what_no_name_says(mute):
    """Held-out frames have them, too, and look better with them than without."""
    data, source, mattes, mouth = mute
    details = Details(mouth, {f.name: f.expression[:1] for f in data.test})
    scene = _trained(source, mattes, details.train, 700)
    assert scene.basis.details.shape == (1, 24) and len(scene.basis.names) == 3
    scene.avatar.meta["details"] = details.beyond(source.expressions, data.test)
    frames = [replace(f, expression=f.expression * np.float32([0, 1, 1])) for f in data.test]
    told = posed(scene, frames)
    assert all(len(f.expression) == 4 for f in told)

    def error(of):
        return np.mean([np.abs(scene.render(f.camera, e.expression) - f.image()[..., :3] / 255)
                        for f, e in zip(frames, of, strict=True)])

    assert error(told) < 0.85 * error(frames)
    opened = AvatarScene(scene.avatar).render(scene.front, {"browInnerUp": 0.9})
    assert np.array_equal(opened, scene.render(scene.front, {"browInnerUp": 0.9}))


def test_details_that_tell_nothing_are_left_out(mute):
    _, source, mattes, mouth = mute
    source.expressions[:, 0] = mouth[:, 0]
    noise = np.random.default_rng(0).normal(0, 0.3, mouth.shape).astype(np.float32)
    scene = _trained(source, mattes, noise, 300)
    assert scene.basis.details.shape == (0, 24)


def test_a_run_says_where_the_motion_was_not_used(talking, tmp_path):
    config = AvatarConfig(**(SMALL | {"iterations": 2, "rank": 0, "skin_motion": True}))
    scene = reconstruct(talking, tmp_path / "run", "avatar", config)  # no face: a ball
    assert "the motion of the skin was not used: where the head lies is not known" in \
        scene.training["notes"]
