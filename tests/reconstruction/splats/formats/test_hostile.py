"""Truncated, hostile and huge files of every format: one error in three parts, and no memory."""

import gzip
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.splats.formats.registry import FORMATS, function, identify, read
from idf_helpers.reconstruction.splats.formats.splat_model import SplatModel
from tests.fixtures.gaussians import random_gaussians
from tests.fixtures.splat_files import ksplat, old_spz, webp, zip_with
from tests.reconstruction.splats.formats.writers import WRITERS

MUCH = 64 << 20  # bytes that a refusal may take at most


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One small file of each kind, as bytes by suffix."""
    folder, g = tmp_path_factory.mktemp("files"), random_gaussians(80, 1)
    out = {".ksplat": ksplat(g, 1), ".old.spz": old_spz(g, 3, 1)}
    for suffix, write in WRITERS.items():
        write(g, folder / f"a{suffix}")
        out[suffix] = (folder / f"a{suffix}").read_bytes()
    return out


def refused_or_read(path):
    """The model, or None where it was refused as it should be: anything else is a failure."""
    tracemalloc.start()
    try:
        model = read(path)
    except IdfError as error:
        assert error.what and error.found and error.do, error
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MUCH, f"{peak / 1e6:.0f} MB"
    assert isinstance(model, SplatModel)
    for array in model.gaussians.arrays().values():
        assert np.isfinite(array).all()
    return model


KINDS = [".ply", ".compressed.ply", ".splat", ".spz", ".old.spz", ".sog", ".glb", ".ksplat"]


@pytest.mark.parametrize("suffix", KINDS)
def test_a_truncated_file_is_refused(suffix, files, tmp_path):
    whole = files[suffix]
    for part in (0.2, 0.5, 0.9, 0.999):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(whole[:int(len(whole) * part)])
        model = refused_or_read(path)
        # 32 bytes are a whole Gaussian of a .splat
        assert model is None or suffix == ".splat" and len(path.read_bytes()) % 32 == 0


@pytest.mark.parametrize("suffix", KINDS)
@given(data=st.data())
def test_any_change_is_read_or_refused(suffix, files, tmp_path_factory, data):
    changed = bytearray(files[suffix])
    head = data.draw(st.booleans())  # most that can go wrong stands at the beginning
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(changed) - 1, 200 if head else len(changed))))
        changed[at] = data.draw(st.integers(0, 255))
    if data.draw(st.integers(0, 4)) == 0:
        del changed[data.draw(st.integers(0, len(changed))):]
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    path.write_bytes(bytes(changed))
    refused_or_read(path)


@pytest.mark.parametrize("suffix", [".ply", ".splat", ".ksplat", ".spz", ".sog", ".glb"])
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused_by_every_reader(suffix, content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    identify(path)
    try:
        function(FORMATS[suffix].reader)(path)
    except IdfError as error:
        assert error.what and error.do


def spz(count, degree, streams, toc=32, version=4, flags=0):
    return struct.pack("<4sIIBBBBI12x", b"NGSP", version, count, degree, 12, flags,
                       len(streams), toc) + b"".join(
        struct.pack("<QQ", len(d), n) for d, n in streams) + b"".join(d for d, _ in streams)


def test_bombs_of_spz(tmp_path):
    path = tmp_path / "a.spz"
    zeros = zstandard.ZstdCompressor().compress(bytes(100 << 20))  # 100 MB in a few kB
    # the header says 10 Gaussians: the stream is not followed beyond them
    streams = [(zeros, 90), (zeros, 10), (zeros, 30), (zeros, 30), (zeros, 40)]
    bombs = [spz(10, 0, streams), spz(0xFFFFFFF0, 0, streams), spz(1 << 27, 3, streams),
             spz(10, 0, streams, toc=0xFFFFFFFF), spz(10, 0, streams[:2]), spz(10, 9, streams),
             spz(10, 0, [(b"", 2**63)] * 5), spz(10, 0, streams, version=5),
             gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 10, 0, 12, 0, 0)),
             gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 1 << 27, 3, 12, 0, 0)
                           + bytes(1 << 20)),
             gzip.compress(bytes(50 << 20))]
    for content in bombs:
        path.write_bytes(content)
        assert refused_or_read(path) is None
    # what lies behind the arrays of an old file is not unpacked
    path.write_bytes(gzip.compress(gzip.decompress(old_spz(random_gaussians(20, 0), 2, 0))
                                   + bytes(80 << 20)))
    assert len(refused_or_read(path).gaussians) == 20


def test_pictures_of_another_size_in_a_sog(files, tmp_path):
    path, whole = tmp_path / "a.sog", tmp_path / "whole.sog"
    whole.write_bytes(files[".sog"])
    with zipfile.ZipFile(whole) as opened:
        meta = json.loads(opened.read("meta.json"))
    huge = webp(np.zeros((6000, 6000, 4), np.uint8))  # 144 MB in a few kB
    small = webp(np.zeros((4, 4, 4), np.uint8))
    changes = [{"means_l.webp": huge}, {"shN_centroids.webp": huge}, {"quats.webp": small},
               {"shN_centroids.webp": small}, {"scales.webp": b"RIFF"}, {"meta.json": b"{}"}]
    for key, value in (("count", 1 << 30), ("count", -1), ("count", "1e9"), ("version", 3),
                       ("means", {"mins": [0], "maxs": [0], "files": ["means_l.webp"] * 2}),
                       ("quats", {"files": ["../../etc/passwd"]}), ("quats", {"files": []}),
                       ("scales", meta["scales"] | {"codebook": list(range(300))}),
                       ("sh0", meta["sh0"] | {"codebook": ["a"]}), ("shN", {"count": 1})):
        changes.append({"meta.json": json.dumps(meta | {key: value}).encode()})
    for change in changes:
        path.write_bytes(zip_with(whole, change))
        assert refused_or_read(path) is None, change.keys()
    with zipfile.ZipFile(path, "w") as folder:  # a folder that was packed by hand
        folder.writestr("head/meta.json", json.dumps(meta))
    with pytest.raises(IdfError) as error:
        read(path)
    assert error.value.found == "no file meta.json at the top of the archive"


def test_odd_scenes_in_a_glb(files, tmp_path):
    whole, path = files[".glb"], tmp_path / "a.glb"
    size = struct.unpack_from("<I", whole, 12)[0]
    scene, rest = json.loads(whole[20:20 + size]), whole[20 + size:]

    def write(**changed):
        text = json.dumps(scene | changed).encode()
        text += b" " * (-len(text) % 4)
        path.write_bytes(struct.pack("<4s4I", b"glTF", 2, 20 + len(text) + len(rest), len(text),
                                     0x4E4F534A) + text + rest)
        return refused_or_read(path)

    assert len(write().gaussians) == 80
    accessor, view = scene["accessors"], scene["bufferViews"]
    primitive = scene["meshes"][0]["primitives"][0]
    attributes = primitive["attributes"]

    def meshes(**changed):
        return [{"primitives": [primitive | changed]}]

    odd = [{"accessors": [accessor[0] | {"count": 1 << 40}, *accessor[1:]]},
           {"accessors": [accessor[0] | {"count": -5}, *accessor[1:]]},
           {"accessors": [accessor[0] | {"byteOffset": -80}, *accessor[1:]]},
           {"bufferViews": [view[0] | {"byteLength": 1 << 50}, *view[1:]]},
           {"bufferViews": [view[0] | {"byteStride": 1 << 30}, *view[1:]]},
           {"nodes": [{"mesh": 0, "children": [0]}]}, {"nodes": [{"mesh": 7}]}, {"nodes": [3]},
           {"nodes": [{"mesh": 0, "scale": [1, 2, 3]}]}, {"nodes": [{"mesh": 0,
                                                                     "scale": [-1, 1, 1]}]},
           {"meshes": []}, {"accessors": []}, {"asset": 3},
           {"meshes": meshes(extensions={})}, {"meshes": meshes(attributes={"POSITION": 0})},
           {"meshes": meshes(attributes=attributes | {
               "KHR_gaussian_splatting:SCALE": attributes["KHR_gaussian_splatting:OPACITY"]})}]
    for change in odd:
        assert write(**change) is None, change
    much = [{"primitives": [primitive] * 3000}]  # 80 Gaussians that would become 240 000
    assert write(meshes=much) is None
    assert len(write(scenes=None, nodes=[{"children": [1]}, {"mesh": 0}]).gaussians) == 80
    assert len(write(scenes=None, nodes=None, meshes=meshes() * 2).gaussians) == 160
    moved = write(nodes=[{"children": [1], "translation": [1, 2, 3]},
                         {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0.5**0.5, 0, 0.5**0.5]}])
    still = write()
    x, y, z = still.gaussians.means.T  # a quarter turn about y, twice the size, then the shift
    want = np.stack([2 * z + 1, 2 * y + 2, 3 - 2 * x], axis=1)
    np.testing.assert_allclose(moved.gaussians.means, want, atol=1e-5)


def test_huge_counts_in_headers(files, tmp_path):
    ply = files[".compressed.ply"].replace(b"element vertex 80", b"element vertex 99999999999")
    splats = bytearray(files[".ksplat"])
    struct.pack_into("<2I", splats, 4096, 1 << 31, 1 << 31)
    sections = bytearray(files[".ksplat"])
    struct.pack_into("<2I", sections, 4, 4096, 4096)
    buckets = bytearray(files[".ksplat"])
    struct.pack_into("<I", buckets, 4096 + 12, 1 << 31)
    for suffix, content in ((".ply", ply), (".ksplat", splats), (".ksplat", sections),
                            (".ksplat", buckets)):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(bytes(content))
        assert refused_or_read(path) is None
