"""Array files: what is damaged in whatever way is one error, for every reader."""

import io
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers.errors import IdfError
from idf_helpers.face.head_model import FaceModel
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.nerf.field_file import read_field
from idf_helpers.reconstruction.upstream.nerface.program import _index_map
from idf_helpers.runtime import npz
from idf_helpers.runtime.npz import fit, read_arrays, save_arrays
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


def test_pickles_and_other_kinds_are_refused(tmp_path):
    for odd in (np.array([{}], object), np.zeros(2, "M8[s]"), np.zeros(2, "f4,i4"),
                np.zeros(2, "c8"), np.zeros(2, "S3")):
        np.savez(tmp_path / "a.npz", a=odd)
        with pytest.raises(IdfError, match="an array of"):
            read_arrays(tmp_path / "a.npz")


def test_all_damage_is_one_error(tmp_path):
    for _ in damaged(tmp_path / "a.npz"):
        with pytest.raises(IdfError) as error:
            read_arrays(tmp_path / "a.npz")
        assert error.value.found and error.value.do
    with pytest.raises(IdfError, match="does not exist"):
        read_arrays(tmp_path / "none.npz")


def test_sizes_are_added_up_before_memory_is_taken(tmp_path, monkeypatch):
    """60 kB that would unpack to 64 MB: refused from the headers, at the cost of a few kB."""
    import tracemalloc

    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2**24,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z, \
            z.open("color.npy", "w", force_zip64=True) as out:
        out.write(header.getvalue())
        out.write(bytes(2**26))
    assert read_arrays(path)["color"].nbytes == 2**26
    monkeypatch.setattr(npz, "MAX_PACKED", 2**25)
    tracemalloc.start()
    with pytest.raises(IdfError, match="claims to hold 67 MB"):
        read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_header_that_claims_more_than_its_file(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as z:
        z.writestr("a.npy", header.getvalue() + bytes(64))
    with pytest.raises(IdfError, match="in 192 bytes"):
        read_arrays(tmp_path / "a.npz")


def test_something_else_in_the_zip_is_not_handed_on_as_bytes(tmp_path):
    for names in (["a.txt"], ["a.npy", "a.npy"]):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as z, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                z.writestr(name, b"x")
        with pytest.raises(IdfError, match="something else"):
            read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("declared, match", [
    ({"a": "f 2 3"}, None), ({"a": "f8! N M", "b": "i N"}, None), ({"a": "f N"}, "shape"),
    ({"a": "i 2 3"}, "float64, not i"), ({"a": "f4 2 3"}, "not f4"), ({"a": "f N N"}, "shape"),
    ({"b": "i M", "a": "f M 3"}, None), ({"c?": "f 9"}, None), ({"c": "f 9"}, "no `c`"),
    ({"n": "f! 1"}, "NaN")])
def test_arrays_fit_a_declaration_or_it_is_said_what_does_not(declared, match):
    arrays = {"a": np.ones((2, 3)), "b": np.arange(2), "n": np.array([np.nan])}
    if match is None:
        assert fit(arrays, declared).get("N", 2) == 2
    else:
        with pytest.raises(ValueError, match=match):
            fit(arrays, declared)


@given(st.binary(max_size=60), st.integers(0, 10**6), st.integers(1, 200))
def test_any_change_is_an_error_or_arrays(tmp_path_factory, patch, at, count):
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    np.savez_compressed(path, a=np.arange(40.0), b=np.array("text"))
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at:at + count] = patch
    path.write_bytes(data)
    try:
        assert all(isinstance(a, np.ndarray) for a in read_arrays(path).values())
    except IdfError as error:
        assert error.found and error.do


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
