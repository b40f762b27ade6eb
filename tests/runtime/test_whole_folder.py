"""A folder appears whole, or there is one error in three parts and nothing beside it."""

import pytest

from idf_helpers.errors import IdfError
from idf_helpers.runtime.whole_folder import whole_folder


def test_whole_or_not_at_all(tmp_path):
    with pytest.raises(ValueError, match="halfway"), whole_folder(tmp_path / "a") as part:
        (part / "x").write_text("x")
        raise ValueError("halfway")
    assert not list(tmp_path.iterdir())
    with whole_folder(tmp_path / "a") as part:
        (part / "x").write_text("x")
        assert not (tmp_path / "a").exists()
    assert [p.name for p in tmp_path.rglob("*")] == ["a", "x"]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path, tmp_path / "file", tmp_path / "file" / "a", tmp_path / ("a" * 300)):
        with pytest.raises(IdfError) as error, whole_folder(out):
            pass
        assert error.value.what and error.value.found and error.value.do
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
