"""Array files: what is damaged in whatever way is one error, for every reader."""

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.face.head_model import FaceModel
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.nerf.field_file import read_field
from idf_helpers.reconstruction.upstream.nerface.program import _index_map
from idf_helpers.runtime.npz import read_arrays, save_arrays
from idf_helpers.runtime.runs import RunFolder


def damaged(path):
    """Write files that numpy and zipfile refuse in different ways; yield after each."""
    values = np.random.default_rng(0).random(4000)
    save_arrays(path, {"a": values})
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[400:900] = bytes(500)  # inside the compressed data
    method = bytearray(whole)
    at = whole.index(b"PK\x01\x02")
    method[8:10] = method[at + 10:at + 12] = (99).to_bytes(2, "little")  # unknown compression
    for content in (b"", b"no arrays", whole[:-30], whole[:200], bytes(broken), bytes(method),
                    b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}"):
        path.write_bytes(content)
        yield


def test_arrays_come_back(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"])}
    save_arrays(tmp_path / "a.npz", arrays)
    back = read_arrays(tmp_path / "a.npz")
    assert back.keys() == arrays.keys()
    for name in arrays:
        np.testing.assert_array_equal(back[name], arrays[name])
    np.save(tmp_path / "a.npy", arrays["a"])
    np.testing.assert_array_equal(read_arrays(tmp_path / "a.npy")[""], arrays["a"])


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match="pickle"):
        read_arrays(tmp_path / "a.npz")


def test_all_damage_is_a_value_error(tmp_path):
    for _ in damaged(tmp_path / "a.npz"):
        with pytest.raises(ValueError):
            read_arrays(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("read", [FaceModel.load, BlendAvatar.load, read_field, _index_map])
def test_every_reader_says_what_to_do(tmp_path, read):
    for _ in damaged(tmp_path / "a.npz"):
        with pytest.raises(IdfError) as error:
            read(tmp_path / "a.npz")
        assert error.value.do


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    with RunFolder(tmp_path / "run", stage="x", backend="y", config={}, inputs={}) as run:
        run.save_checkpoint(1, {"a": np.ones(3)}, {"n": 1})
        for _ in damaged(tmp_path / "run/checkpoints/step_000000002.npz"):
            arrays, state = run.latest_checkpoint()
            assert state == {"n": 1} and list(arrays) == ["a"]
