"""Pickles of arrays: read without running anything that they name."""

import os
import pickle

import numpy as np
import pytest

from idf_helpers.runtime.array_pickle import read_array_pickle

NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BYTES = NUMBERS.tobytes()
CONTENT = {"a": {"kernel": NUMBERS, "turned": np.asfortranarray(NUMBERS), "none": NUMBERS[:0]},
           "big": NUMBERS.astype(">f8"), "bytes": NUMBERS.astype(np.uint8),
           "one": np.array(3, np.int64)}


def written(path, value, protocol=3):
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_are_as_numpy_would_read_them(tmp_path, protocol):
    if protocol == 2:  # which writes bytes as text, by a function
        with pytest.raises(ValueError, match="_codecs.encode"):
            read_array_pickle(written(tmp_path / "p", CONTENT, protocol))
        return
    got = read_array_pickle(written(tmp_path / "p", CONTENT, protocol))
    assert set(got) == set(CONTENT) and set(got["a"]) == set(CONTENT["a"])
    for a, b in ((got, CONTENT), (got["a"], CONTENT["a"])):
        for name in set(b) - {"a"}:
            assert a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name]), name


def test_the_older_name_of_numpys_module(tmp_path):
    data = written(tmp_path / "p", {"a": NUMBERS}).read_bytes()
    (tmp_path / "p").write_bytes(data.replace(b"numpy._core.", b"numpy.core."))
    assert np.array_equal(read_array_pickle(tmp_path / "p")["a"], NUMBERS)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"echo x > {self.path}",)


class Calls:
    """Has something called with some arguments when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def kind(name):
    return b"cnumpy\ndtype\n(X" + len(name).to_bytes(4, "little") + name + b"tR"


HOSTILE = {
    "eval": lambda: Calls(eval, ("1",)),
    "numpy.load": lambda: Calls(np.load, ("x.npy",)),
    "objects": lambda: np.array([{}], object),
    "fields": lambda: np.zeros(2, [("x", "<f4")]),
    "text": lambda: np.array(["abc"]),
    "a list": lambda: [NUMBERS],
    "a number": lambda: {"a": 3},
    "a number as a name": lambda: {3: NUMBERS},
    "an array class": lambda: Calls(np.ndarray, ((3,),)),
    "a kind": lambda: NUMBERS.dtype,
    "nothing": lambda: None,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_anything_else_is_refused(tmp_path, make):
    for inside in (make(), {"a": make()}):
        with pytest.raises(ValueError):
            read_array_pickle(written(tmp_path / "p", inside))


def test_nothing_is_run(tmp_path):
    mark = tmp_path / "it_ran"
    path = written(tmp_path / "p", {"a": NUMBERS, "b": Runs(mark)})
    with pytest.raises(ValueError, match=r"it names (posix|nt)\.system"):
        read_array_pickle(path)
    assert not mark.exists()
    with open(path, "rb") as file:
        pickle.load(file)  # it would have run
    assert mark.exists()


RAW = {
    "state set on what is named": b"cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
    "slots set on what is named": b"cnumpy\nndarray\n(N}X\x05\x00\x00\x00_makeNstb.",
    "a kind with fields": b"}X\x01\x00\x00\x00a" + kind(b"f4") + b"(K\x03X\x01\x00\x00\x00<"
                          b"}}}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbs.",
    "an array that is not filled": b"}X\x01\x00\x00\x00acnumpy.core.multiarray\n_reconstruct\n)Rs.",
    "an extension": b"\x82\x01.",
    "a name that is not there": b"cnumpy\nsystem\n.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
    "cut": pickle.dumps({"a": NUMBERS}, 3)[:-30],
    "empty": b"",
    "a dict in itself": b"}q\x00X\x01\x00\x00\x00ah\x00s.",
    "no pickle": b"\x89PNG\r\n",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW)
def test_damaged_and_hand_made_pickles(tmp_path, data):
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(ValueError):
        read_array_pickle(tmp_path / "p")
    assert np.array_equal(read_array_pickle(written(tmp_path / "q", {"a": NUMBERS}))["a"], NUMBERS)


class Kind:
    """Numpy's own pickle of the kind of numbers, with another state."""

    def __init__(self, *state):
        self.state = state

    def __reduce__(self):
        return np.dtype, ("f4", False, True), self.state


def changed_array(shape=(2, 3, 4), content=BYTES, kind=NUMBERS.dtype):
    """Numpy's own pickle of an array with another shape, content or kind."""
    class Array:
        def __reduce__(self):
            return (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"),
                    (1, shape, kind, False, content))
    return {"a": Array()}


@pytest.mark.parametrize("wrong", [{"shape": (2, 3, 5)}, {"shape": (-1, 24)}, {"shape": (1 << 62,)},
                                   {"shape": [2, 3, 4]}, {"content": b"x"},
                                   {"content": [1.0] * 24}, {"kind": "f4"},
                                   {"kind": Kind(3, "<", None, ("x",), {"x": 0}, -1, -1, 0)},
                                   {"kind": Kind(3, "x", None, None, None, -1, -1, 0)}])
def test_shapes_and_bytes_must_fit(tmp_path, wrong):
    for kind in (NUMBERS.dtype, Kind(3, "<", None, None, None, -1, -1, 0)):
        good = written(tmp_path / "p", changed_array(kind=kind))
        assert np.array_equal(read_array_pickle(good)["a"], NUMBERS)
    with pytest.raises(ValueError):
        read_array_pickle(written(tmp_path / "p", changed_array(**wrong)))


def test_dicts_that_share_dicts_do_not_take_forever(tmp_path):
    value = {"a": NUMBERS}
    for _ in range(60):
        value = {"l": value, "r": value}
    with pytest.raises(ValueError, match="too many entries"):
        read_array_pickle(written(tmp_path / "p", value))
