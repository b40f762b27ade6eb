"""Settings of the swap: each method reads its own, and what it does not read is refused."""

from dataclasses import fields
from pathlib import Path

import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.data import samples
from idf_helpers.runtime.files import read_json
from idf_helpers.swapping.config import COMMON, SwapConfig, VideoConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.methods import SWAPPERS, VIEWS, choose_swapper
from idf_helpers.swapping.swap import swap

OTHER = {"target": "all", "reference": (Path("them.png"),), "min_face": 40.0,
         "min_confidence": 0.5, "pixel_boost": 2, "shape": 0.5}


def test_every_setting_is_read_by_a_method():
    names = {f.name for f in fields(SwapConfig)}
    assert names - COMMON == {n for e in SWAPPERS.entries.values() for n in e.reads}
    assert set(OTHER) == names - COMMON - {"similarity"}  # which needs a reference


@pytest.mark.parametrize("name", ["uv", "mesh", "ghost", "onnx:inswapper", "uv+ghost",
                                  "uv+onnx:simswap"])
def test_what_a_method_does_not_read_is_refused(name):
    entry = SWAPPERS.find(name)
    for setting, value in OTHER.items():
        config = SwapConfig(name, **{setting: value})
        if setting in entry.reads:
            assert choose_swapper(config, frozenset({VIEWS}))[0].name == name
            continue
        with pytest.raises(IdfError, match=f"`{name.replace('+', '.')}` does not read") as error:
            choose_swapper(config, frozenset({VIEWS}))
        assert f"--{setting.replace('_', '-')}" in error.value.what
        readers = [n for n in SWAPPERS.names() if setting in SWAPPERS.find(n).reads]
        assert any(reader in error.value.do for reader in readers) and name not in readers


def test_a_boost_is_refused_where_auto_takes_another_method(small_head, tmp_path):
    with pytest.raises(IdfError, match="`mesh` does not read --pixel-boost") as error:
        swap(Dataset.open(small_head).frames[0].path, samples.photo("C"), tmp_path / "o",
             SwapConfig(pixel_boost=2))
    assert "onnx" in error.value.do and not (tmp_path / "o").exists()


def test_a_similarity_needs_a_reference():
    with pytest.raises(IdfError, match="--similarity"):
        SwapConfig(similarity=0.5).checked()
    SwapConfig(similarity=0.5, reference=(Path("them.png"),)).checked()


def test_only_what_is_read_tells_runs_apart(small_head, tmp_path):
    data = Dataset.open(small_head)
    swap_dataset(data, samples.photo("C"), tmp_path / "o", SwapConfig("mesh", min_face=20.0))
    manifest = read_json(tmp_path / "o/run.json")
    assert manifest["backend"] == "mesh" and manifest["config"].pop("method") == {}
    assert set(manifest["config"]) == {"face", *SWAPPERS.find("mesh").reads}
    with pytest.raises(IdfError, match="another run") as error:
        swap_dataset(data, samples.photo("C"), tmp_path / "o", SwapConfig("mesh"))
    assert "min_face" in error.value.found


def test_settings_of_videos_are_refused_elsewhere(small_head, tmp_path):
    for target in (small_head, Dataset.open(small_head).frames[0].path):
        with pytest.raises(IdfError, match="no video"):
            swap(target, samples.photo("C"), tmp_path / "o", None, VideoConfig(crf=20))
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("config, name", [
    (SwapConfig(similarity=1.1), "similarity"), (SwapConfig(min_face=-1), "min_face"),
    (SwapConfig(min_confidence=1.0), "min_confidence"), (SwapConfig(pixel_boost=9), "pixel_boost"),
    (SwapConfig(shape=float("nan")), "shape"), (VideoConfig(max_missing=2), "max_missing"),
    (VideoConfig(part=7), "part"), (VideoConfig(crf=52), "crf"),
    (VideoConfig(smooth=-1), "smooth")])
def test_settings_out_of_range(config, name):
    with pytest.raises(IdfError, match=f"`{name}` is out of range"):
        config.checked()
