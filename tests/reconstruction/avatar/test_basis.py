"""The avatar's file and its linear expression basis."""

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from tests.fixtures.avatars import NAMES, make_avatar


def test_neutral_is_exact_and_the_rest_is_linear():
    avatar = make_avatar()
    at = avatar.at(avatar.basis.neutral)
    for name, values in avatar.gaussians.arrays().items():
        assert np.array_equal(values, at.arrays()[name])
    a, b = (avatar.at({"jawOpen": v}).means for v in (0.4, 0.7))
    np.testing.assert_allclose((b - avatar.gaussians.means) / (a - avatar.gaussians.means), 2,
                               rtol=1e-3)
    w = (avatar.basis.edit({"jawOpen": 0.7}) - avatar.basis.neutral) @ avatar.basis.weights
    expected = avatar.gaussians.sh[:, 0] + np.einsum("k,knc->nc", w, avatar.deltas["sh"])
    np.testing.assert_allclose(avatar.at({"jawOpen": 0.7}).sh[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_edits_by_name():
    basis = make_avatar().basis
    assert basis.edit({"eyeBlink": 0.5}).tolist() == pytest.approx([0.1, 0.5, 0.5, 0])
    assert basis.edit({"jawOpen": 9})[0] == 1  # clamped to the trained range
    assert basis.moving.tolist() == [True, True, True, False]
    with pytest.raises(IdfError, match="no expression `jaw`"):
        basis.edit({"jaw": 1})
    with pytest.raises(IdfError, match="not a finite number"):
        basis.edit({"jawOpen": float("nan")})
    with pytest.raises(IdfError, match="another length"):
        basis.expression([1, 2])
    with pytest.raises(IdfError, match="NaN"):
        basis.expression([0, np.nan, 0, 0])


def test_file_round_trip(tmp_path):
    avatar = make_avatar()
    avatar.save(tmp_path / "avatar.npz")
    again = BlendAvatar.load(tmp_path)
    assert again.basis.names == NAMES and again.meta == {"resolution": 64}
    for name in avatar.deltas:
        assert np.array_equal(avatar.deltas[name], again.deltas[name])
    assert np.array_equal(again.frozen({"jawOpen": 1}).means, avatar.frozen({"jawOpen": 1}).means)
    assert len(again.frozen()) == 9


@pytest.mark.parametrize("damage", ["cut", "text", "short", "missing"])
def test_damaged_file_is_one_clear_error(tmp_path, damage):
    path = tmp_path / "avatar.npz"
    avatar = make_avatar()
    if damage == "short":
        avatar.deltas["means"] = avatar.deltas["means"][:, :3]
    avatar.save(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "text":
        path.write_text("no archive")
    elif damage == "missing":
        path.unlink()
    with pytest.raises(IdfError, match="damaged|does not exist"):
        BlendAvatar.load(path)


def test_models_show_themselves_in_one_line(trained):
    _, scene = trained
    for shown in (scene, scene.avatar, scene.gaussians):
        assert len(repr(shown)) < 120 and "\n" not in repr(shown)
    assert f"Gaussians({len(scene.avatar.gaussians)}" in repr(scene.avatar)
