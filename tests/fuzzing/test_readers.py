"""Every reader takes every damaged file: what comes out is a value or an IdfError.

A few cases of each here, the same at every run; `IDF_FUZZ=long` takes thousands, and
`benchmarks/fuzz.py` as many as one likes, in processes with limits of memory and time.
"""

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fuzz
from idf_helpers.data.kinds import VIDEO_SUFFIXES
from idf_helpers.data.picture_file import FORMATS
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.formats.registry import FORMATS as SPLATS
from idf_helpers.runtime.npz import ArrayRecord
from tests.fixtures.fuzzing.table import READERS
from tests.fixtures.layouts.table import ROWS


@pytest.fixture(scope="module")
def prepared():
    """A folder with a whole example for each reader, made when it is first asked for."""
    with tempfile.TemporaryDirectory(prefix="idf-fuzz-") as folder:
        made: dict[str, tuple] = {}

        def of(reader):
            if reader.name not in made:
                place = Path(folder) / str(len(made))
                place.mkdir()
                made[reader.name] = (*fuzz.prepare(reader, place), fuzz.one_case.read_from)
            *places, fuzz.one_case.read_from = made[reader.name]
            return places

        yield of


@pytest.mark.parametrize("name", READERS)
def test_damage_is_an_error_with_three_parts_or_a_value(name, prepared):
    reader = READERS[name]
    place, whole = prepared(reader)

    @settings(max_examples=max(4 if reader.cost < 30 else 2,
                               settings().max_examples // (2 * reader.cost)))
    @given(st.integers(0, 2**32))
    def damaged(number):
        outcome, words, *_ = fuzz.one_case(reader, place, whole, 0, number)
        assert outcome != "odd", words

    damaged()


def test_the_whole_examples_are_read(prepared):
    """What is damaged must be read as long as it is whole, or nothing is shown."""
    refused = {f"layout: {row.name}" for row in ROWS if row.refused}
    for name, reader in READERS.items():
        if name.startswith(("layout:", "video:")) and name not in (
                "video: .mp4", f"layout: {ROWS[0].name}") or name in refused:
            continue  # theirs is another test
        _, whole = prepared(reader)
        try:
            reader.read(Path(f"{whole}{fuzz.one_case.read_from}"))
        except IdfError as error:
            pytest.fail(f"{name}: {error}")


def test_every_format_has_a_row():
    names = " ".join(READERS)
    lacking = [f for f in FORMATS if f"picture: {f}".lower() not in names.lower()]
    lacking += [s for s in VIDEO_SUFFIXES if f"video: {s}" not in names]
    lacking += [s for s in SPLATS if f"splats: {s}" not in READERS]
    lacking += [r.name for r in ROWS if f"layout: {r.name}" not in READERS]
    read = {getattr(reader.read, "__self__", None) for reader in READERS.values()}
    lacking += [c.__name__ for c in ArrayRecord.__subclasses__() if c not in read]
    assert lacking == []


def test_a_fault_is_seen(prepared):
    """The counting itself: a reader with a bug, and one whose error lacks a part."""
    def bug(path):
        raise KeyError("x")

    def mute(path):
        raise IdfError("It is damaged")

    for read, words in ((bug, "KeyError"), (mute, "parts missing")):
        reader = dataclasses.replace(READERS["JSON file"], read=read)
        outcome, said, *_ = fuzz.one_case(reader, *prepared(READERS["JSON file"]), 0, 1)
        assert outcome == "odd" and words in said
