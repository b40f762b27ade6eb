import errno
import os

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.runtime.files import (
    atomic_write,
    read_json,
    read_record,
    remove_leftovers,
    stable_hash,
    write_bytes,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_full_disk_becomes_one_clear_error(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")
    with pytest.raises(IdfError, match="disk is full"), atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_bytes() == b"old"


def test_parent_that_is_a_file(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(IdfError, match="cannot be written"):
        write_bytes(tmp_path / "f" / "a.bin", b"")


def test_json_round_trip_and_refusal_of_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": np.float32(0.5), "y": np.arange(3)})
    assert read_json(tmp_path / "a.json") == {"x": 0.5, "y": [0, 1, 2]}
    with pytest.raises(ValueError):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_stable_hash_ignores_key_order():
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1}) != stable_hash({"a": 1})


def test_a_failed_write_takes_its_new_folders_along(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "new/deep/a.bin"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()
    write_bytes(tmp_path / "new/deep/a.bin", b"x")
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "new/b/a.bin"):
        raise RuntimeError
    assert os.listdir(tmp_path / "new") == ["deep"]


@pytest.mark.parametrize("text", ["[]", "3", '{"a": 1}'])
def test_a_record_without_its_keys_is_damaged(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(IdfError, match="damaged"):
        read_record(tmp_path / "m.json", ("a", "b"))


@pytest.mark.parametrize("letter", ["\u4e2d", "\U0001f600", "\u00fc"])
def test_a_long_name_of_wide_letters_can_be_written(tmp_path, letter):
    name = letter * (240 // len(letter.encode())) + ".png"
    write_bytes(tmp_path / name, b"x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_leftover_that_vanishes_meanwhile_is_no_error(tmp_path, monkeypatch):
    gone = tmp_path / ".a.1.0123abcd.part.png"
    monkeypatch.setattr(type(tmp_path), "rglob", lambda *args: [gone])
    remove_leftovers(tmp_path)
