"""The benchmark of portraits: its figures know a perfect swap, a speckled one and no swap."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.data import media
from idf_helpers.errors import IdfError
from idf_helpers.face.identity import IdentityNet
from idf_helpers.swapping.metrics import hog_similarity
from tests.fixtures.identity import write_recognizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import portrait_figures as pf
import public_portraits as pp

CONSENT = "Computer-made sample faces, no real person is shown."


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("identity")
    write_recognizer(folder)
    return folder


@pytest.fixture(scope="module")
def pair(photos, detector):
    return tuple(pf.Measured.find(photos[n], detector) for n in ("B", "C"))


def test_the_target_itself_is_like_the_target(pair, weights):
    source, target = pair
    row = pf.figures(IdentityNet(weights), source, target, target, np.full((512, 512), 0.5))
    assert row["target_id"] == 0 and row["source_id"] == row["before"] > 0
    assert row["chroma"] == row["grain"] == row["edge"] == 1
    assert row["pose"] < 1e-3 and row["lips"] == row["lips_own"] == 0 and np.isnan(row["gray"])


def test_speckle_blur_and_a_rim_are_seen(pair):
    target, face = pair[1], pair[1].face
    noise = np.random.default_rng(0).normal(size=target.image.shape)
    speckled = pf.Measured(np.clip(target.image + 25 * noise, 0, 255).astype(np.uint8), face)
    smooth = pf.Measured(cv2.GaussianBlur(target.image, (0, 0), 0.01 * face.size), face)
    energy = np.array([m.energy for m in (smooth, target, speckled)])
    assert (energy[0] < 0.9 * energy[1]).all() and (energy[2] > 1.5 * energy[1]).all()

    mask = np.zeros((512, 512), np.uint8)
    center = tuple(int(v) for v in face.xy.mean(0))
    cv2.circle(mask, center, int(0.3 * face.size), 255, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 2) / 255
    rim = target.image + 60 * mask[..., None]
    rim = pf.Measured(np.clip(rim, 0, 255).astype(np.uint8), face)
    assert pf.added_edge(target, rim, mask) > 1.5


def test_a_turned_head_and_a_smile_are_seen(pair, weights, detector):
    """The same face turned by 10 degrees in the picture; another's mouth."""
    target = pair[1]
    M = cv2.getRotationMatrix2D((256, 256), 10, 1)
    turned = pf.Measured.find(cv2.warpAffine(target.image, M, (512, 512),
                                             borderMode=cv2.BORDER_REPLICATE), detector)
    net = IdentityNet(weights)
    row = pf.figures(net, target, target, turned)
    assert row["pose"] == pytest.approx(10, abs=1.5)
    assert row["lips"] < 0.3 and row["lips_own"] < 1

    xy = target.face.xy.copy()
    corners, across = [61, 291], target.face.xy[291] - target.face.xy[61]
    for corner, way in zip(corners, (-1, 1), strict=True):
        near = np.exp(-(((xy - xy[corner]) / (0.08 * target.face.size)) ** 2).sum(1))
        xy += near[:, None] * (way * 0.12 * across - (0, 0.05 * target.face.size))
    points = np.column_stack([xy, target.face.points[:, 2]]).astype(np.float32)
    smiling = pf.Measured(target.image, type(target.face)(points, 1.0, 1.0))
    smiling = pf.figures(net, target, target, smiling)
    assert smiling["lips"] > 1.0 and smiling["lips_own"] > 1.5


def test_gray_targets_are_told_by_the_largest_chroma(pair, weights):
    source, target = pair
    gray = pf.Measured(np.repeat(cv2.cvtColor(target.image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
                       target.face)
    row = pf.figures(IdentityNet(weights), source, gray, target)
    assert np.isnan(row["chroma"]) and row["gray"] > 5 and np.isnan(row["edge"])
    assert pf.figures(IdentityNet(weights), source, gray, gray)["gray"] < 0.5


def test_a_folder_of_pairs_gives_figures_and_a_marked_sheet(tmp_path, photos, weights, capsys,
                                                              detector):

    for name, (a, b) in {"one": ("B", "C"), "other": ("C", "B")}.items():
        media.write_image(tmp_path / "pairs" / name / "source.png", photos[a])
        media.write_image(tmp_path / "pairs" / name / "target.png", photos[b])
    media.write_image(tmp_path / "pairs" / "other" / "ghost.png", photos["C"])
    pp.main(pp.Options(tmp_path / "pairs", tmp_path / "out", CONSENT, weights))
    text = capsys.readouterr().out
    ghost, mine = text.split("\n\n")[:2]
    assert "other" in ghost and "one" not in ghost
    rows = {line.split()[0]: line.split()[1:] for line in mine.splitlines()}
    assert {"one", "other", "mean", "median", "least", "greatest"} <= set(rows)
    assert float(rows["one"][-1]) > 0
    # measured was a swap: the target's face is less like its own and more like the source's
    target, source = photos["C"], photos["B"]
    result = media.read_image(tmp_path / "out" / pp.ROOT.name / "one.png")
    (t,), (s,), (r,) = (detector.detect(p) for p in (target, source, result))
    assert hog_similarity(result, r.points, source, s.points) \
        > hog_similarity(target, t.points, source, s.points)
    assert 0 < float(rows["one"][1]) and hog_similarity(result, r.points, target, t.points) < 0.99
    sheet = media.read_image(tmp_path / "out" / "sheet.png")
    assert sheet.shape == (pp.CELL + pp.CAPTION, 8 * (pp.CELL + 4), 3)
    pp.main(pp.Options(tmp_path / "pairs", tmp_path / "out", CONSENT, weights, keep=True))
    assert capsys.readouterr().out == text
    for made in (tmp_path / "out" / "sheet.png",
                 tmp_path / "out" / pp.ROOT.name / "one.png"):
        assert provenance.verify(made).synthetic


def test_what_is_no_folder_of_pairs_is_said(tmp_path):
    with pytest.raises(IdfError, match="lacks pairs"):
        pp.read_pairs(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("source", "target"):
        media.write_image(tmp_path / "a" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    assert [p.name for p in pp.read_pairs(tmp_path, ("a",))] == ["a"]
    with pytest.raises(IdfError, match="lacks pairs") as error:
        pp.read_pairs(tmp_path, ("a", "b"))
    assert "b" in error.value.found
