"""Pose and expression compared: on landmarks that are projected from known heads."""

import numpy as np
import pytest

from idf_helpers.face.fidelity import (
    REGIONS,
    SHAPE_FRAMES,
    expression_error,
    fit_faces,
    head_yaw,
    pose_error,
)
from idf_helpers.face.frame_fitter import FrameFitter, Lens
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.pose import rotation
from idf_helpers.face.shape_fit import FittedFace

MODEL = FaceModel.load()
LENS = Lens.of(30, 512, 512)


def head(yaw=0.0, pitch=0.0, identity=(), lens=LENS, shift=(0.0, 0.0), **expression):
    """What is true of a head, as a fit would say it. expression: weights by name."""
    pose = np.eye(4)
    pose[:3, :3] = rotation([np.radians(pitch), 0, 0]) @ rotation([0, np.radians(yaw), 0])
    pose[:3, 3] = *shift, -60
    fitter = FrameFitter(MODEL, lens, MODEL.vertices(np.asarray(identity, float)))
    weights = np.array([expression.get(n, 0.0) for n in MODEL.seen])
    return FittedFace(pose, weights, fitter, np.zeros(468))


def seen(fitted):
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = fitted.fitter.project(fitted.weights, fitted.pose)
    unit = fitted.fitter.f[0] / -fitted.pose[2, 3]  # pixels of a centimeter
    points[:, 2] = -unit * (fitted.fitter.shape(fitted.weights) @ fitted.pose[:3, :3].T)[:, 2]
    return FaceLandmarks(points, 1.0, 1.0)


def test_angles_and_millimeters_by_hand():
    a = head(10, 0)
    assert pose_error(a, head(22, 0)) == pytest.approx(12)
    assert pose_error(a, a) == 0 and pose_error(head(0, 0), head(0, -7)) == pytest.approx(7)
    assert pose_error(head(0), head(180)) == pytest.approx(180)
    assert pose_error(head(0), head(1e-5)) == pytest.approx(1e-5, rel=1e-3)
    open_, shut = head(jawOpen=0.5, browInnerUp_L=0.3, eyeBlink_L=0.4), head()
    for region, name, weight in (("lips", "jawOpen", 0.5), ("brows", "browInnerUp_L", 0.3),
                                 ("eyes", "eyeBlink_L", 0.4)):
        E = MODEL.expression[MODEL.expression_names.index(name)][REGIONS[region][1]]
        by_hand = 10 * weight * np.sqrt((E.astype(float) ** 2).sum(1)).mean()
        assert expression_error(open_, shut, region) == pytest.approx(by_hand, rel=1e-5)
        assert expression_error(shut, open_, region) == pytest.approx(by_hand, rel=1e-5)
    assert expression_error(open_, head(jawOpen=0.5, cheekSquint_L=1.0, noseSneer_R=1.0)) == 0


def test_the_side_from_which_a_head_is_seen():
    # a head turned to its own left shows its right side: the camera stands to its right
    assert head_yaw(head(40).pose) < -30 and head_yaw(head(-40).pose) > 30
    assert head_yaw(head(0).pose) == pytest.approx(0, abs=1e-9)
    assert abs(head_yaw(head(75).pose)) > 65


def test_who_one_is_is_hardly_taken_for_what_one_does():
    """The shape is fitted to each; by the mean face, two people who do the same differ more."""
    rng, smile = np.random.default_rng(0), dict(mouthSmile_L=0.5, mouthSmile_R=0.5, jawOpen=0.2)
    anybody, found = FrameFitter(MODEL, LENS), []
    for expression in (smile, dict(jawOpen=0.4, mouthFunnel=0.3)) * 3:
        who = [rng.normal(size=10) * 0.5 for _ in range(2)]
        heads = [head(5, 3, who[0], **expression), head(5, 3, who[1], **expression),
                 head(5, 3, who[1])]
        fits = [fit_faces([seen(x)], [LENS])[0] for x in heads]
        by_mean = [FittedFace(*anybody.fit(seen(x).xy)[:2], anybody, None) for x in heads]
        found.append([expression_error(heads[0], heads[2]), expression_error(*fits[:2]),
                      expression_error(fits[0], fits[2]), expression_error(*by_mean[:2]),
                      pose_error(*fits[:2])])
    true, same, other, same_by_mean, turned = np.mean(found, 0)
    assert same < 0.35 * true and same < 0.8 * same_by_mean
    assert 0.8 * true < other < 1.2 * true and turned < 2


def test_a_clip_has_one_shape_and_each_frame_its_own_expression():
    identity, opening = [0.8, -0.7, 0.5], np.linspace(0, 0.6, 3 * SHAPE_FRAMES)
    wide = Lens.of(50, 512, 512)
    lenses = [wide if i % 7 == 3 else LENS for i in range(len(opening))]
    heads = [head(20 * np.sin(i), 3, identity, lens, jawOpen=w)
             for i, (w, lens) in enumerate(zip(opening, lenses, strict=True))]
    faces = [seen(h) for h in heads]
    faces[5] = None
    fits = fit_faces(faces, lenses)
    assert fits[5] is None and all(f is not None for i, f in enumerate(fits) if i != 5)
    kept = [i for i in range(len(heads)) if i != 5]
    assert len({f.fitter.neutral.tobytes() for f in fits if f}) == 1
    assert fits[3].fitter.f[0] != fits[4].fitter.f[0]  # each by its own lens
    assert max(pose_error(fits[i], heads[i]) for i in kept) < 2
    true, got = ([expression_error(h[0], h[i]) for i in kept] for h in (heads, fits))
    assert np.abs(np.subtract(true, got)).mean() < 0.15 * np.mean(true)
    assert fit_faces([None, None], [LENS] * 2) == [None, None] and fit_faces([], []) == []


def test_turned_faces_say_nothing_of_the_shape():
    near = [seen(head(yaw, 2, [0.5, 0.5], jawOpen=0.2)) for yaw in (-20, -5, 10)]
    wrong = [seen(head(yaw, 2, [-2.0, -2.0, 2.0])) for yaw in (50, -48)]
    assert all(abs(f.yaw) > 40 for f in wrong)
    alone, beside = fit_faces(near, [LENS] * 3), fit_faces(near + wrong, [LENS] * 5)
    assert np.array_equal(alone[0].fitter.neutral, beside[0].fitter.neutral)
    sides = fit_faces(wrong, [LENS] * 2)  # where there is nothing else, they must do
    assert not np.array_equal(sides[0].fitter.neutral, alone[0].fitter.neutral)


def test_a_fit_begins_where_it_is_told(monkeypatch):
    face, begun, fit = seen(head(5, jawOpen=0.3)), [], FrameFitter.fit
    start = fit_faces([face], [LENS])
    monkeypatch.setattr(FrameFitter, "fit", lambda self, points, *begin, **k: begun.append(
        begin) or fit(self, points, *begin, **k))
    again = fit_faces([face], [LENS], start)
    assert begun[-1][0] is start[0].pose and begun[-1][1] is start[0].weights
    assert pose_error(again[0], start[0]) < 0.05
    fit_faces([face], [LENS], [None])
    assert begun[-1] == ()


def test_what_no_pose_explains_has_no_fit():
    noise = FaceLandmarks(np.full((468, 3), 100, np.float32), 1.0, 1.0)
    good = seen(head(5))
    fits = fit_faces([good, noise], [LENS, LENS])
    assert fits[0] is not None and fits[1] is None
