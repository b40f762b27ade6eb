"""The ONNX swappers, on tiny files of the same inputs whose effect can be foretold."""

import json
import pickle

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media, samples
from idf_helpers.provenance import verify
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.image import swap_image
from idf_helpers.swapping.methods import SWAPPERS, entry_of
from idf_helpers.swapping.neural.align import crop, five_points, template_matrix
from idf_helpers.swapping.neural.model_files import RECOGNIZER, SWAP_FILES
from idf_helpers.swapping.neural.onnx_file import OnnxNet, Slot, last_initializer
from idf_helpers.swapping.neural.onnx_models import MODELS, OnnxModel, read_row
from idf_helpers.swapping.neural.onnx_swap import EMBEDDING, OnnxMethod, embed, recognizer_net
from idf_helpers.swapping.source import load_source
from tests.fixtures.heads import BACK, NEAR

from . import tiny_onnx


@pytest.fixture(scope="module")
def face():
    return load_source(samples.photo("C"))


def prepared(model, face, **settings):
    return OnnxMethod(model).prepare([], (face,), None, Reporter(), SwapConfig(**settings))


@pytest.fixture(scope="module")
def view(view_at):
    v = view_at(10)
    return v.image, v.faces[0]


# --- pixels in and out ----------------------------------------------------------------------------

def test_identity_changes_little_and_nothing_outside(tmp_path, face, view):
    """Enough pixels in the crop: only resampling is left. Pickled for worker processes."""
    image, landmarks = view
    swapper = prepared(tiny_onnx.model(tmp_path, effect="identity", size=256), face)
    result = pickle.loads(pickle.dumps(swapper)).swap_face(image, landmarks)
    assert result.status == "swapped" and 0.03 < (result.mask > 0.5).mean() < 0.4
    np.testing.assert_array_equal(result.image[result.mask == 0], image[result.mask == 0])
    np.testing.assert_array_equal(result.image[..., 3], image[..., 3])
    change = np.abs(result.image[..., :3].astype(int) - image[..., :3])[result.mask > 0]
    assert change.mean() < 2.5


def test_pixel_boost_keeps_more_detail(tmp_path, face, view):
    image, landmarks = view
    model = tiny_onnx.model(tmp_path, effect="identity", size=64)
    changes = []
    for boost in (1, 3):
        result = prepared(model, face, pixel_boost=boost).swap_face(image, landmarks)
        inside = result.mask > 0.9
        changes.append(np.abs(result.image[inside].astype(int) - image[inside]).mean())
    assert changes[1] < 0.6 * changes[0]


def test_channels_are_red_green_blue(tmp_path, face, view):
    result = prepared(tiny_onnx.model(tmp_path, effect="red"), face).swap_face(*view)
    inside = result.mask > 0.995
    assert inside.sum() > 500
    assert np.abs(result.image[inside, :3].astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize("mean, std, restore", [((0, 0, 0), (1, 1, 1), False),
                                                ((.5, .5, .5), (.5, .5, .5), True),
                                                ((.485, .456, .406), (.229, .224, .225), False)])
def test_normalization(tmp_path, face, mean, std, restore):
    """A network that gives back what it is given: exactly its own units come out."""
    model = tiny_onnx.model(tmp_path, effect="identity", mean=mean, std=std, restore=restore)
    square = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    got = prepared(model, face)._run(square, 0)
    want = square / 255.0
    if not restore:
        want = np.clip((want - mean) / std, 0, 1)
    np.testing.assert_allclose(got, want * 255, atol=1e-3)


# --- what the network is told of the source -------------------------------------------------------

@pytest.mark.parametrize("source", ["raw", "normed", "converted", "converted_normed", "emap"])
def test_embeddings(tmp_path, face, source):
    matrix = np.random.default_rng(3).normal(0, 1, (EMBEDDING, EMBEDDING)).astype(np.float32)
    tiny_onnx.doubling(tmp_path / "convert.onnx")
    model = tiny_onnx.model(tmp_path, effect="tell", source=source, last=matrix, **(
        {"converter": "convert.onnx"} if source.startswith("converted") else {}))
    swapper = prepared(model, face)
    e = embed(recognizer_net(tmp_path / "embed.onnx"), face.image, face.landmarks)
    n = np.linalg.norm(e)
    c = 2 * e + 1
    want = {"raw": e, "normed": e / n, "converted": c, "converted_normed": c / np.linalg.norm(c),
            "emap": e @ matrix / n}[source]
    np.testing.assert_allclose(swapper.sources[0], want[None], rtol=1e-4, atol=1e-5)
    told = swapper._run(np.zeros((64, 64, 3), np.uint8), 0)
    np.testing.assert_allclose(told[5, 5], np.clip(want[:3], 0, 1) * 255, rtol=1e-4, atol=1e-2)


def test_the_embedding_is_of_the_aligned_face(tmp_path, face):
    net = recognizer_net(tiny_onnx.recognizer(tmp_path / "embed.onnx"))
    M = template_matrix(five_points(face.landmarks.points), "arcface_112_v2", 112)
    x = crop(face.image, M, 112).astype(np.float64) / 127.5 - 1
    cells = x.reshape(14, 8, 14, 8, 3).mean((1, 3)).transpose(2, 0, 1).ravel()
    matrix = np.random.default_rng(0).normal(0, 1, (588, 512)).astype(np.float32)
    np.testing.assert_allclose(embed(net, face.image, face.landmarks), cells @ matrix, atol=2e-4)


def test_a_picture_as_source(tmp_path, face, view):
    """The mean color of the source's crop comes out; no recognizer is needed."""
    model = tiny_onnx.model(tmp_path, effect="mean", source="image", source_size=32,
                            source_template="ffhq_512", template="ffhq_512")
    (tmp_path / "embed.onnx").unlink()
    swapper = prepared(model, face)
    M = template_matrix(five_points(face.landmarks.points), "ffhq_512", 32)
    want = crop(face.image, M, 32).mean((0, 1))
    result = swapper.swap_face(*view)
    got = result.image[result.mask > 0.995][:, :3].astype(float)
    assert np.abs(got - want).max() < 1.5


# --- the whole stage ------------------------------------------------------------------------------

def test_a_row_in_a_file_swaps_a_dataset(small_head, tmp_path):
    row = tiny_onnx.write_row(tmp_path / "own", effect="red")
    config = SwapConfig(f"onnx:{row}")
    out = swap_dataset(Dataset.open(small_head), samples.photo("C"), tmp_path / "o", config)
    report = read_json(out.root / "swap_report.json")
    assert report["backend"] == "onnx:tiny"
    assert report["counts"]["swapped"] >= NEAR - 2 and report["counts"]["no_face"] >= BACK
    assert "CPUExecutionProvider" in report["note"] and "made by a test" in report["note"]
    assert all(r["outside"] == 0 for r in report["frames"])
    for a, b in zip(Dataset.open(small_head).frames, out.frames, strict=True):
        row_ = next(r for r in report["frames"] if r["name"] == a.name)
        if row_["status"] != "swapped":
            assert a.path.read_bytes() == b.path.read_bytes()
            continue
        x, y = a.image(), b.image()
        assert (x[..., 3] == y[..., 3]).all()
        assert (y[..., 0].astype(int) - y[..., 1] > 250).mean() > 0.01
        v = verify(b.path)
        assert v.synthetic and v.fields["made"] == "face swap (onnx:tiny)"


def test_references_are_told_apart_by_the_recognizer(tmp_path):
    row = tiny_onnx.write_row(tmp_path / "own", effect="red")
    b, c = (media.resize_area(media.read_image(samples.photo(n))[..., :3], 300, 300) for n in "BC")
    media.write_image(tmp_path / "two.png", np.concatenate([b, c], axis=1))
    path = swap_image(tmp_path / "two.png", samples.photo("B"), tmp_path / "o",
                      SwapConfig(f"onnx:{row}", reference=(samples.photo("C"),), similarity=0.9),
                      consent="All of it is made up")
    change = media.read_image(path)[..., :3].astype(int) - np.concatenate([b, c], axis=1)
    changed = np.abs(change).max(-1) > 40  # the watermark takes less
    assert changed[:, 300:].any() and not changed[:, :300].any()
    assert np.abs(change[:, :300]).mean() < 2  # levels
    assert "told apart by ArcFace's embedding" in read_json(tmp_path / "o/run.json")["note"]


# --- the table ------------------------------------------------------------------------------------

def test_every_model_is_complete_and_none_is_chosen_by_auto():
    assert {"ghost_1", "ghost_2", "ghost_3", "inswapper", "hyperswap_1a", "simswap", "blendswap",
            "uniface", "hififace"} <= set(MODELS)
    for name, model in MODELS.items():
        model.checked()
        backend = SWAPPERS.find(f"onnx:{name}")
        assert not backend.commercial and model.license in (backend.license,)
        row = SWAP_FILES[f"onnx:{name}"]
        assert row.license == model.license and not row.pins[0].sha256 and not row.commercial
        assert (RECOGNIZER in row.needs) == model.needs_embedding
    chosen, why = SWAPPERS.choose()
    assert not chosen.name.startswith("onnx")


def test_add_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(SWAPPERS, "entries", dict(SWAPPERS.entries))
    tiny_onnx.write_row(tmp_path)
    SWAPPERS.add(entry_of(OnnxModel("mine", str(tmp_path / "net.onnx"), "arcface_128", 64, "normed",
                                    recognizer=str(tmp_path / "embed.onnx"))))
    backend = SWAPPERS.find("onnx:mine")
    assert backend.missing() is None and isinstance(backend.load(), OnnxMethod)
    assert "onnx:mine" in SWAPPERS.names()
    SWAPPERS.add(entry_of(OnnxModel("gone", str(tmp_path / "nothing.onnx"), "arcface_128", 64,
                                    "image", source_template="ffhq_512", source_size=64)))
    with pytest.raises(IdfError, match="cannot run here") as error:
        SWAPPERS.load("onnx:gone")
    assert "nothing.onnx" in error.value.found


@pytest.mark.parametrize("change, said", [
    ({"template": "nose"}, "template 'nose'"), ({"size": 4}, "size 4"),
    ({"source": "voice"}, "source 'voice'"), ({"std": [0, 1, 1]}, "mean or std"),
    ({"color": 1}, "unknown color"), ({"file": None}, ""), ({"name": "a b/c"}, "name 'a b/c'"),
    ({"source": "converted"}, "converter"), ({"source": "image"}, "source_template")])
def test_a_bad_row_is_one_error(tmp_path, change, said):
    path = tiny_onnx.write_row(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IdfError, match="row of") as error:
        read_row(path)
    assert said in error.value.found


def test_a_row_that_lacks_fields(tmp_path):
    (tmp_path / "row.json").write_text('{"name": "x"}')
    with pytest.raises(IdfError) as error:
        SWAPPERS.find(f"onnx:{tmp_path / 'row.json'}")
    assert "no file" in error.value.found and "no template" in error.value.found


# --- bad files ------------------------------------------------------------------------------------

SLOTS = (Slot("source", (None, 512)), Slot("target", (None, 3, 64, 64)))


@pytest.mark.parametrize("kind", ["size", "rank", "names", "one"])
def test_other_inputs_are_refused(tmp_path, kind):
    path = tmp_path / "net.onnx"
    if kind == "size":
        tiny_onnx.swapper(path, 128)
    elif kind == "rank":
        tiny_onnx.swapper(path, 64, source=(1, 3, 16, 16))
    else:
        tiny_onnx.save(path, [helper.make_node("Identity", ["target"], ["output"])],
                       {"target": [1, 3, 64, 64]} | ({"face": [1, 512]} if kind == "names" else {}),
                       ("output", [1, 3, 64, 64]))
    with pytest.raises(IdfError, match="other inputs") as error:
        OnnxNet(path, SLOTS).open()
    assert "target" in error.value.found and "512" in error.value.do


def test_external_data_outside_its_folder_is_refused(tmp_path):
    """A file of the user's must not be read through a model."""
    (tmp_path / "secret.bin").write_bytes(np.ones(3, np.float32).tobytes())
    path = tiny_onnx.swapper(tmp_path / "model" / "net.onnx", 64, "red")
    model = onnx.load(path)
    constant = next(t for t in model.graph.initializer if t.name == "red")
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("offset", "0"), ("length", "12")):
        constant.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(IdfError, match="ONNX file") as error:
        OnnxNet(path, SLOTS).open()
    assert "folder" in error.value.do


@pytest.mark.parametrize("content", [b"", b"no ONNX", b"\x08\x07" * 40, None])
def test_garbage_is_refused(tmp_path, content):
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IdfError, match="cannot be opened|does not exist"):
        OnnxNet(path, SLOTS).open()
    if content is not None:
        with pytest.raises(IdfError, match="no matrix"):
            last_initializer(path)


def test_no_numbers_come_out(tmp_path):
    path = tiny_onnx.save(tmp_path / "net.onnx",
                          [helper.make_node("Div", ["target", "zero"], ["output"])],
                          {"source": [1, 512], "target": [1, 3, 64, 64]},
                          ("output", [1, 3, 64, 64]), {"zero": np.float32(0)})
    with pytest.raises(IdfError, match="NaN or infinity") as error:
        OnnxNet(path, SLOTS)({"source": np.zeros((1, 512)), "target": np.zeros((1, 3, 64, 64))})
    assert "fp32" in error.value.do


def test_last_initializer_as_onnx_itself_reads_it(tmp_path):
    matrix = np.random.default_rng(0).normal(0, 1, (7, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        last_initializer(tiny_onnx.swapper(tmp_path / "a.onnx", 64, last=matrix)), matrix)
    model = onnx.load(tmp_path / "a.onnx")
    model.graph.initializer.append(helper.make_tensor("floats", TensorProto.FLOAT, [2, 2],
                                                      [1.0, 2.0, 3.0, 4.0]))
    onnx.save(model, tmp_path / "b.onnx")
    np.testing.assert_array_equal(last_initializer(tmp_path / "b.onnx"), [[1, 2], [3, 4]])
    half = onnx.numpy_helper.from_array(matrix.astype(np.float16), "half")
    model.graph.initializer.append(half)
    onnx.save(model, tmp_path / "c.onnx")
    np.testing.assert_array_equal(last_initializer(tmp_path / "c.onnx"), matrix.astype(np.float16))


def test_an_inswapper_without_its_matrix(tmp_path, face):
    with pytest.raises(IdfError, match="not the matrix for embeddings"):
        prepared(tiny_onnx.model(tmp_path, source="emap", last=np.ones((3, 3))), face)
