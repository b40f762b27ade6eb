"""The clip's fit: what the model can say is found again, in spite of noise and wrong frames."""

from __future__ import annotations

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face import shape_fit
from idf_helpers.face.head_model import FaceModel
from idf_helpers.tracking import fit
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.fit import fit_clip, rotation_vector

from .clips import NAMES, SIZE, make_clip


def angles(track, poses) -> np.ndarray:
    return np.degrees([np.linalg.norm(rotation_vector(a[:3, :3] @ b[:3, :3].T))
                       for a, b in zip(track.poses[track.used], poses[track.used], strict=True)])


def test_pose_and_expression_of_a_clip_are_found():
    points, poses, weights, _ = make_clip(40, noise=0.4)
    points[10] = np.nan  # no face
    points[30] += np.random.default_rng(5).normal(0, 60, points[30].shape)  # another's landmarks
    track = fit_clip(points, SIZE, SIZE, TrackConfig(fov=30.0))
    assert not track.used[10] and not track.used[30] and track.used.sum() == 38
    assert np.isnan(track.poses[10]).all() and np.isnan(track.errors[10])
    k = track.used
    assert angles(track, poses).max() < 3
    for j, name in enumerate(NAMES):
        got = track.expressions[k, track.names.index(name)]
        assert np.corrcoef(got, weights[k, j])[0, 1] > 0.8, name
    assert track.expressions.min() >= 0 and track.expressions.max() <= 1
    others = [i for i, n in enumerate(track.names) if n not in NAMES]
    assert track.expressions[k][:, others].mean() < 0.02
    quiet = weights[k].sum(1) < 0.2
    assert quiet.any() and track.resting.max() < 0.2
    # the identity: nearer to the true face than the mean face is
    m = FaceModel.load()
    true = m.vertices(make_clip(1)[3])
    centered = [v - v.mean(0) for v in (true, track.neutral, m.rest)]
    assert np.abs(centered[1] - centered[0]).mean() < 0.7 * np.abs(centered[2] - centered[0]).mean()


def test_field_of_view_is_estimated(monkeypatch):
    monkeypatch.setattr(fit, "KEYFRAMES", 8)
    monkeypatch.setattr(shape_fit, "FOVS", (15.0, 24.0, 38.0, 60.0))
    wide, narrow = (fit_clip(make_clip(30, fov=fov, noise=0.2)[0][::4], SIZE, SIZE).fov
                    for fov in (60.0, 20.0))
    assert 42 < wide < 70 and 14 < narrow < 30


def test_smoothing_takes_noise_and_leaves_the_motion():
    points, poses, _, _ = make_clip(24, noise=1.5)
    rough, soft = (fit_clip(points, SIZE, SIZE, TrackConfig(fov=30.0, smoothing=s, identity=False))
                   for s in (0, 2))

    def shake(track):
        return np.abs(np.diff(track.poses[:, :3, :3], 2, axis=0)).mean()

    assert shake(soft) < 0.6 * shake(rough)
    assert angles(soft, poses).mean() < 1.1 * angles(rough, poses).mean()


def test_too_little_is_told():
    points = np.full((10, 468, 2), np.nan)
    with pytest.raises(IdfError, match="three frames"):
        fit_clip(points, SIZE, SIZE)
    rng = np.random.default_rng(0)
    with pytest.raises(IdfError) as error:
        fit_clip(rng.uniform(0, SIZE, (6, 468, 2)), SIZE, SIZE, TrackConfig(fov=30.0))
    assert "fit" in str(error.value)


@pytest.mark.parametrize("field, value", [("fov", 3), ("size", 20), ("every", 0), ("limit", -1),
                                          ("smoothing", 11), ("max_error", 0)])
def test_settings_out_of_range(field, value):
    with pytest.raises(IdfError, match=field):
        TrackConfig(**{field: value}).checked()
