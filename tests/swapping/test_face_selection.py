"""Which faces of a picture are swapped, and with which source."""

from types import SimpleNamespace

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.face_selection import (
    FacePicker,
    Looks,
    Recognized,
    make_picker,
    parse_target,
)
from idf_helpers.swapping.image import swap_image
from idf_helpers.swapping.result import SwapResult


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A picture of B (left) and C (right), each about 190 px large, and its path."""
    b, c = (media.read_image(samples.photo(n)) for n in "BC")
    side = 300
    picture = np.concatenate([media.resize_area(p[..., :3], side, side) for p in (b, c)], axis=1)
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    media.write_image(path, picture)
    return picture, path


def halves(before, after):
    """Whether the face in the left and that in the right half changed: by more than what bends
    along around a neighbor."""
    changed = np.abs(before.astype(int) - after[..., :3]).max(axis=2) > 24
    middle = changed.shape[1] // 2
    return bool(changed[:, :middle].any()), bool(changed[:, middle:].any())


def swapped(path, out, source="C", **settings):
    sources = [samples.photo(s) for s in source.split()]
    config = SwapConfig("mesh", **settings)
    done = swap_image(path, sources, out, config, consent="All made up here")
    return media.read_image(done)


@pytest.mark.parametrize("target, changed", [("all", (True, True)), ("0", (True, False)),
                                             ("1", (False, True)), ("1,0", (True, True))])
def test_all_faces_or_those_with_a_number(pair, tmp_path, target, changed):
    assert halves(pair[0], swapped(pair[1], tmp_path / "o", target=target)) == changed


def test_the_clearest_face_is_the_default(pair, tmp_path):
    assert sum(halves(pair[0], swapped(pair[1], tmp_path / "o"))) == 1


def test_the_kth_source_goes_to_the_kth_target(pair, tmp_path):
    """B's own face onto B changes little, C's much."""
    same = swapped(pair[1], tmp_path / "o", "B C", target="0,1").astype(int)
    crossed = swapped(pair[1], tmp_path / "p", "B C", target="1,0").astype(int)
    change = [np.abs(p[..., :3] - pair[0]).mean() for p in (same, crossed)]
    assert 0 < change[0] < 0.6 * change[1]


@pytest.mark.parametrize("name, changed", [("B", (True, False)), ("C", (False, True)),
                                           ("B_three_quarter", (True, False))])
def test_the_face_of_a_reference_photo(pair, tmp_path, name, changed):
    """By looks, also from another side; the report says what it was told apart by."""
    out = tmp_path / "o"
    after = swapped(pair[1], out, reference=(samples.photo(name),))
    assert halves(pair[0], after) == changed
    assert "no recognizer" in read_json(out / "run.json")["note"]


def test_a_reference_that_matches_nobody(small_head, tmp_path):
    """Neither in a picture nor in a dataset; nothing is left behind."""
    config = SwapConfig("mesh", reference=(samples.photo("C"),))
    for swap, target in ((swap_dataset, Dataset.open(small_head)),
                         (swap_image, samples.path("head_multiview") / "test/r_0.png")):
        with pytest.raises(IdfError, match=r"reference C.png matches no face") as error:
            swap(target, samples.photo("B"), tmp_path / "o", config)
        assert "best similarity" in error.value.found
        assert not (tmp_path / "o").exists()


def test_sources_that_went_to_nobody_are_named(pair, tmp_path):
    out = tmp_path / "o"
    swapped(pair[1], out, "B C", target="0,7")
    assert "no face was found for source 1" in read_json(out / "run.json")["note"]


def test_size_and_confidence(pair, tmp_path):
    detector, picture = LandmarkDetector(), pair[0]
    sizes = sorted(f.size for f in detector.detect(picture, max_faces=9, zoom=True))
    assert len(sizes) == 2 and sizes[0] > 100
    between = sum(sizes) / 2
    pairs, nothing = FacePicker("all", min_size=between).pick(picture, detector)
    assert [f.size for f, _ in pairs] == sizes[1:] and nothing is None
    pairs, nothing = FacePicker("all", min_size=1000).pick(picture, detector)
    assert not pairs and nothing.status == "no_face" and "at least 1000" in nothing.reason
    best = max(f.presence for f in detector.detect(picture, max_faces=9, zoom=True))
    pairs, nothing = FacePicker("all", min_confidence=best + 1e-6).pick(picture, detector)
    assert not pairs and nothing.status == "low_confidence"


def test_uv_knows_one_head_only(small_head, tmp_path):
    with pytest.raises(IdfError, match="`uv` does not read --target") as error:
        swap_dataset(Dataset.open(small_head), samples.photo("C"), tmp_path / "o",
                     SwapConfig("uv", target="all"))
    assert "mesh" in error.value.do


@pytest.mark.parametrize("text, want", [("one", "one"), ("ALL", "all"), ("0", (0,)),
                                        ("2,0", (2, 0))])
def test_targets_as_typed(text, want):
    assert parse_target(text) == want


@pytest.mark.parametrize("text", ["", "two", "-1", "0,0", "1;2"])
def test_targets_that_are_none(text):
    with pytest.raises(IdfError, match="which faces"):
        parse_target(text)


def test_settings_that_contradict_each_other():
    detector = SimpleNamespace()
    with pytest.raises(IdfError, match="numbers differ"):
        make_picker(SwapConfig(target="0,1,2"), 2, detector)
    with pytest.raises(IdfError, match="goes to which face"):
        make_picker(SwapConfig(), 2, detector)
    for bad in (dict(similarity=2.0), dict(pixel_boost=9), dict(min_confidence=1.0)):
        with pytest.raises(IdfError, match="out of range"):
            SwapConfig(**bad).checked()


def fake_faces(*xs):
    return [SimpleNamespace(presence=0.99, size=100.0, box=np.array([x, 0, x + 100, 100.0]),
                            vector=np.eye(4)[x // 100]) for x in xs]


def test_references_by_a_recognizer():
    """Two references that want the same face: the better one gets it; embeddings by cosine."""
    faces = fake_faces(0, 100, 200)
    detector = SimpleNamespace(detect=lambda *a, **k: faces)
    describe = Recognized(lambda image, face: face.vector)
    image = np.zeros((8, 8, 3), np.uint8)

    def pick(*references, threshold=0.15):
        picker = FacePicker(sources=len(references), references=references, describe=describe,
                            threshold=threshold)
        return picker.pick(image, detector)

    e = np.eye(4)
    pairs, _ = pick(e[2], e[0] + 0.1 * e[3])
    assert [(f is faces[0], k) for f, k in pairs] == [(True, 1), (False, 0)]
    assert pairs[1][0] is faces[2]
    pairs, _ = pick(e[0] + e[3], e[0])
    assert [(f is faces[0], k) for f, k in pairs] == [(True, 1)]
    pairs, nothing = pick(e[3])
    assert not pairs and "best similarity 0.00" in nothing.reason
    assert isinstance(nothing, SwapResult)


def test_looks_of_one_and_of_two_heads():
    detector, look = LandmarkDetector(), Looks()
    seen = {}
    for name in ("B", "C", "B_three_quarter"):
        image = media.read_image(samples.photo(name))
        seen[name] = look(image, detector.detect(image, zoom=True)[0])
    assert look.similarity(seen["B"], seen["B"]) == pytest.approx(1)
    assert look.similarity(seen["B"], seen["B_three_quarter"]) > look.threshold
    assert look.similarity(seen["B"], seen["C"]) < look.threshold - 0.05
