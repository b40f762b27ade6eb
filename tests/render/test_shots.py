"""What the render script would photograph: the bundled sets again, new ones from a seed."""

from __future__ import annotations

import math

import numpy as np
import performance
import pictures
import pytest
import shots
from pack import CENTER

from idf_helpers.data import media, samples
from idf_helpers.errors import IdfError

REHEARSED = len(performance.rehearsed().faces)


class FlatPack:
    """As much of a head pack as the plans of moving heads ask for: a ball for a head."""

    def __init__(self):
        rng = np.random.default_rng(0)
        d = rng.normal(size=(400, 3))
        self.ball = 9 * d / np.linalg.norm(d, axis=1, keepdims=True) + (0, 3, 2)
        self.core = {"mask_ear": np.zeros(400)}
        self.expression_names = tuple(sorted(
            {n for f in performance.FACES + performance.REHEARSED for n in f}))
        self.expression_names += tuple(f"more{k}" for k in range(60))

    def vertices(self, identity, weights=None):
        return self.ball

    def strands(self, identity):
        return {"hair": self.ball[:100].reshape(20, 5, 3)}


@pytest.mark.parametrize("name", ["head_multiview", "head_turntable"])
def test_bundled_cameras_are_reproduced_from_the_recipe(name):
    read = {s.file: s for s in shots.plan(name, None, 320, samples.path(name), None).shots}
    drawn = {s.file: s for s in shots.plan(name, None, 320, None, None).shots}
    assert read.keys() == drawn.keys()
    for file, shot in read.items():
        assert (samples.path(name) / file).is_file()
        np.testing.assert_allclose(shot.c2w, drawn[file].c2w, atol=2e-6)
        np.testing.assert_allclose(shot.entry["transform_matrix"],
                                   drawn[file].entry["transform_matrix"], atol=2e-6)


def test_a_seed_draws_other_views_of_the_same_spread():
    one, two = (shots.plan("head_multiview", None, 320, None, s) for s in (1, 2))
    again = shots.plan("head_multiview", None, 320, None, 1)
    assert all((a.c2w == b.c2w).all() for a, b in zip(one.shots, again.shots, strict=True))
    assert np.abs(one.shots[0].c2w - two.shots[0].c2w).max() > 1e-3
    for start in ((0.1, 0.9), (0.7, 0.3)):
        yaw, pitch = shots.multiview_directions(200, start).T
        assert np.mean(np.abs((yaw + 180) % 360 - 180) <= shots.FRONT_YAW) == 0.6
        assert pitch.min() >= -14 and pitch.max() <= 34
        assert np.histogram(pitch, 6, (-14, 34))[0].min() > 25  # evenly spread


def test_set_world_and_blender_units():
    c2w = shots.camera_at(30.0, 10.0)
    there = shots.to_set(c2w, 4.0)
    assert np.linalg.norm(there[:3, 3]) == pytest.approx(4.0)
    np.testing.assert_allclose(shots.from_set(there, 4.0), c2w, atol=1e-12)
    np.testing.assert_allclose(shots.camera_at(0, 0)[:3, 3], CENTER + (0, -6.3, 0))


def test_talking_is_read_with_its_room():
    plan = shots.plan("head_talking", None, 256, samples.path("head_talking"), None)
    assert len(plan.shots) == 280 + REHEARSED
    shot = next(s for s in plan.shots if s.file == "train/f_0000.png")
    assert shot.weights["mouthSmile_L"] == 1.0 and len(shot.weights) < 53
    # Seen from the room the camera is always the same one, straight in front.
    for s in plan.shots:
        np.testing.assert_allclose(np.linalg.inv(s.room) @ s.c2w, shots.camera_at(0, 0),
                                   atol=1e-5)
        R = s.room[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-5)


def test_the_bundled_sequence_ends_with_the_rehearsal():
    read = shots.plan("head_talking", None, 256, samples.path("head_talking"), None).shots
    read = {s.file: s for s in read if int(s.file[-8:-4]) >= 280}
    names = list(samples.dataset("head_talking").expression_names)
    pack = FlatPack()
    drawn = shots.rehearsal(pack, names, 280)
    assert len(read) == len(drawn)
    for s in drawn:
        np.testing.assert_allclose(read[s.file].c2w, s.c2w, atol=2e-6)
        assert read[s.file].weights == s.weights


def test_a_new_talking_sequence():
    pack = FlatPack()
    plan = shots.talking(pack, 256, seed=4)
    assert [len(t[1]) for t in plan.tables.values()] == [215 + REHEARSED, 5, 60]
    header = plan.tables["transforms_train.json"][0]
    assert header["intrinsics"][:2] == [494.9393, 494.9393]
    shown = sorted(plan.shots, key=lambda s: s.file.rsplit("_")[-1])
    assert [int(s.file[-8:-4]) for s in shown] == list(range(280 + REHEARSED))
    for k, s in enumerate(shown):
        assert len(s.entry["expression"]) == 76
        assert all(0 <= w <= 1 for w in s.entry["expression"])
        top, bottom, left, right = s.entry["bbox"]
        assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
        if k and k != 280:  # the rehearsal is another take
            R = shown[k - 1].c2w[:3, :3].T @ s.c2w[:3, :3]
            assert math.degrees(math.acos(min(1.0, (np.trace(R) - 1) / 2))) < 5
    weights = np.array([s.entry["expression"] for s in shown])
    assert (weights[:280].max(0) > 0.05).sum() >= 15
    assert (weights[280:] > 0.4).sum(0)[[pack.expression_names.index(n) for n in
                                        ("jawOpen", "browOuterUp_L", "eyeBlink_R")]].min() >= 3
    assert (weights[280:].sum(1) == 0).any()  # the face at rest
    with pytest.raises(IdfError, match="too short"):
        shots.talking(pack, 256, seed=0, frames=20)


def test_bad_poses_and_names(tmp_path):
    (tmp_path / "transforms_train.json").write_text('{"frames": [{"file_path": "a"}]}')
    with pytest.raises(IdfError, match="does not describe a sample set"):
        shots.plan("head_multiview", None, 320, tmp_path, None)
    with pytest.raises(IdfError, match="no sample set"):
        shots.plan("head_spinning", None, 320, None, None)


def test_photos_stand_on_their_gray():
    plan = shots.plan("source_photos", None, 512, None, None)
    assert {s.file.removesuffix(".png") for s in plan.shots} == set(samples.PHOTOS)
    for name in samples.PHOTOS:
        assert tuple(media.read_image(samples.photo(name))[-200, 2]) == shots.GRAY


def test_pictures(tmp_path):
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], np.uint8)
    got = pictures.over(rgba, (10, 20, 30))
    np.testing.assert_array_equal(got, [[[200, 100, 50], [10, 20, 30], [48, 36, 34]]])
    pictures.save(tmp_path / "x.png", got)
    np.testing.assert_array_equal(media.read_image(tmp_path / "x.png"), got)
    room = pictures.room(64)
    assert room.shape == (64, 64, 3) and room.std((0, 1)).min() > 10
