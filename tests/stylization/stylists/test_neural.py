"""The stylist `neural` with tiny networks: what it paints, where, how strongly, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data.media import read_image, write_image
from idf_helpers.runtime import registry
from idf_helpers.stylization.config import KeyViewConfig, NeuralConfig
from idf_helpers.stylization.dataset import stylize
from idf_helpers.stylization.methods import STYLISTS, open_stylist
from idf_helpers.stylization.stylist import View
from idf_helpers.stylization.stylists import neural_files, style_network, style_pictures
from idf_helpers.stylization.stylists.style_network import StyleNetwork

from . import tiny_style

RED, BLUE = (200, 60, 40), (20, 40, 220)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return tiny_style.install(tmp_path / "cache", monkeypatch)


@pytest.fixture
def style(tmp_path):
    """name, color -> a flat picture file."""
    def make(name="red.png", color=RED, size=(80, 120)):
        write_image(tmp_path / name, np.full((*size, len(color)), color, np.uint8))
        return str(tmp_path / name)
    return make


def head(color=(0.6, 0.5, 0.4), size=(90, 70), name="a", seed=0):
    """A disk of noise around one color over white, soft at its edge."""
    y, x = np.mgrid[:size[0], :size[1]]
    mask = np.clip(26 - np.hypot(y - size[0] / 2, x - size[1] / 2), 0, 1).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 0.04, (*size, 1))
    rgb = np.clip(np.array(color) + noise, 0, 1).astype(np.float32)
    return View(mask[..., None] * rgb + 1 - mask[..., None], mask, name=name)


def painted(view, *styles, strength=1.0, views=None, **fields):
    stylist = open_stylist("neural", NeuralConfig(style=styles, **fields))
    stylist.prepare(views or [view])
    return stylist.stylize(view, strength=strength)


def level(picture, view):
    return picture[view.mask >= 1].mean(0) * 255


def test_the_head_takes_the_level_of_the_style(folder, style):
    view = head()
    out = painted(view, style())
    assert out.shape == view.rgb.shape and out.dtype == np.float32
    np.testing.assert_allclose(level(out, view), RED, atol=3)
    np.testing.assert_array_equal(out[view.mask == 0], view.rgb[view.mask == 0])
    # half-covered pixels are the style over white, not over the old head
    edge = (view.mask > 0.2) & (view.mask < 0.8)
    share = view.mask[edge][:, None]
    np.testing.assert_allclose(out[edge], share * np.array(RED) / 255 + 1 - share, atol=0.15)


def test_strength_goes_from_the_own_style_to_the_pictures(folder, style):
    view, own = head(), 255 * np.array((0.6, 0.5, 0.4))
    for strength in (0.25, 0.75):
        np.testing.assert_allclose(level(painted(view, style(), strength=strength), view),
                                   own + strength * (RED - own), atol=4)


def test_styles_are_mixed_by_their_weights(folder, style):
    view = head()
    out = painted(view, style() + ":3", style("blue.png", BLUE))
    np.testing.assert_allclose(level(out, view), 0.75 * np.array(RED) + 0.25 * np.array(BLUE),
                               atol=3)
    np.testing.assert_allclose(level(painted(view, "20"), view), 255 * 20 / 25, atol=3)
    np.testing.assert_allclose(level(painted(view, "10:1", "20:3"), view), 255 * 17.5 / 25, atol=3)
    np.testing.assert_allclose(level(painted(view, "20", strength=0.5), view),
                               (255 * 20 / 25 + level(view.rgb, view)) / 2, atol=3)


def test_all_views_are_painted_by_one_rule(folder, style):
    """By its own means a dark view would come out as bright as a bright one."""
    dark, bright = head((0.3, 0.25, 0.2), name="dark"), head((0.7, 0.6, 0.5), name="bright")
    both = [dark, bright]
    seen = [level(painted(v, style(), views=both), v).mean() for v in both]
    own = [level(painted(v, style(), views=[v]), v).mean() for v in both]
    assert abs(own[0] - own[1]) < 3 and 35 < seen[1] - seen[0] < 60


def test_no_part_of_a_picture_shows_where_another_begins(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    picture = rng.random((250, 331, 3)).astype(np.float32)
    for network, style in ((tiny_style.transform, rng.random(100)),
                           (tiny_style.fixed, np.eye(26)[3])):
        net = StyleNetwork(network(tmp_path / "net.onnx"))
        means = net.measure([picture], style)
        whole = net.paint(picture, style, means)
        assert whole.shape == picture.shape
        monkeypatch.setattr(style_network, "PART", 64)
        np.testing.assert_allclose(net.paint(picture, style, means), whole, atol=1e-5)
        monkeypatch.setattr(style_network, "MARGIN", 16)  # too little: the parts show
        assert np.abs(net.paint(picture, style, means) - whole).max() > 1e-4
        monkeypatch.undo()


def test_fixed_means_are_the_networks_own(tmp_path):
    """What is measured on a picture and put in again changes nothing of that picture."""
    import onnxruntime

    path = tiny_style.transform(tmp_path / "net.onnx")
    rng = np.random.default_rng(1)
    picture, style = rng.random((384, 384, 3)).astype(np.float32), rng.random(100)
    net = StyleNetwork(path)
    plain = onnxruntime.InferenceSession(str(path)).run(None, {
        "content": picture[None], "vector": style.astype(np.float32).reshape(1, 1, 1, 100)})[0][0]
    np.testing.assert_allclose(net.paint(picture, style, net.measure([picture], style)),
                               np.clip(plain, 0, 1), atol=1e-6)


def test_many_large_views_are_measured_in_bounded_memory(tmp_path, monkeypatch):
    net = StyleNetwork(tiny_style.fixed(tmp_path / "net.onnx"))
    seen = []
    monkeypatch.setattr(style_network, "SHEET", 20_000)
    monkeypatch.setattr(net, "_run", lambda session, picture, *_: [
        None, *(seen.append(picture) or [0] * len(net._names))])
    net.measure([np.full((100, 150, 3), i / 9, np.float32) for i in range(9)], np.eye(26)[0])
    assert seen[0].shape[0] * seen[0].shape[1] <= 21_000
    assert {round(9 * float(v)) for v in np.unique(seen[0].round(3))} == {0, 4}  # from both sides


def test_a_transparent_style_counts_where_it_shows(folder, style, tmp_path):
    picture = np.zeros((200, 300, 4), np.uint8)
    picture[40:150, 60:260] = (*RED, 255)
    picture[60:80, 100:120, 3] = 0
    write_image(tmp_path / "cut.png", picture)
    view = head()
    np.testing.assert_allclose(level(painted(view, str(tmp_path / "cut.png")), view), RED, atol=3)


def test_a_run_is_consistent_and_told(folder, style, head_folder, tmp_path):
    config = NeuralConfig(style=(style(), style("blue.png", BLUE) + ":0.5"), strength=0.8)
    out = stylize(head_folder, tmp_path / "o", "neural", config, propagator="flow",
                  views=KeyViewConfig(keys=3))
    report = json.loads((tmp_path / "o" / "stylize_report.json").read_text())
    assert report["strength"] == 0.8 and not report["reads_prompt"] and len(out.frames) == 12
    assert [s["weight"] for s in report["settings"]["styles"]] == [0.6667, 0.3333]
    assert all(len(s["sha256"]) == 64 for s in report["settings"]["styles"])
    assert len(list((tmp_path / "o" / "keys_out").iterdir())) == 3
    run = json.loads((tmp_path / "o" / "run.json").read_text())
    assert "TrainedAlgorithmicMedia" in json.dumps(run)
    # the same again is not painted again; another picture under the same name is another run
    seen = read_image(tmp_path / "o" / "keys_out" / "train_main_r_0.png")
    write_image(tmp_path / "red.png", np.full((80, 120, 3), BLUE, np.uint8))
    with pytest.raises(IdfError, match="holds another run"):
        stylize(head_folder, tmp_path / "o", "neural", config, propagator="flow",
                views=KeyViewConfig(keys=3))
    np.testing.assert_array_equal(
        read_image(tmp_path / "o" / "keys_out" / "train_main_r_0.png"), seen)


@pytest.mark.parametrize("words, what", [
    ((), "needs a style"), (("26",), "no such fixed style"), (("-1",), "no such fixed style"),
    (("3:0",), "weight of the style 3"), (("3:-1", "4"), "weight"), (("3:inf",), "weight"),
    (("3:nan",), "weight"), (("3:1e308", "4:1e308"), "weight"), (("--5",), "does not exist"),
    (("~nobody-here/x.png",), "does not exist"),
    (("3", "red.png"), "do not mix")])
def test_bad_words(folder, words, what):
    with pytest.raises(IdfError, match=what) as error:
        open_stylist("neural", NeuralConfig(style=words))
    assert error.value.found and error.value.do


def test_paths_with_colons_and_weights():
    found = style_pictures.parse(("C:/art/night.jpg:0.5", "D:/wave.png"))
    assert [s.file.as_posix() for s in found] == ["C:/art/night.jpg", "D:/wave.png"]
    assert found[0].weight == pytest.approx(1 / 3) and found[0].name == "night.jpg"
    assert style_pictures.parse([Path("wave.png")])[0].file == Path("wave.png")
    assert style_pictures.parse([15])[0].number == 15


def test_bundled_styles_by_name(tmp_path, monkeypatch):
    for s in style_pictures.parse(style_pictures.BUNDLED):
        assert style_pictures.read(s.file, 256).std() > 0.1 and s.file.stat().st_size < 200_000
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ink").write_bytes(b"")  # a file of this name is the user's
    assert style_pictures.parse(("ink",))[0].file == Path("ink")
    monkeypatch.setenv("IDF_SAMPLES", str(tmp_path / "samples"))
    with pytest.raises(IdfError, match="bundled style `swirls` is not there"):
        style_pictures.parse(("swirls",))


def test_bad_style_pictures(folder, style, tmp_path):
    def refused(path, what):
        with pytest.raises(IdfError, match=what) as error:
            open_stylist("neural", NeuralConfig(style=(str(path),)))
        assert error.value.found and error.value.do

    refused(tmp_path / "none.png", "does not exist")
    (tmp_path / "text.png").write_text("no picture")
    refused(tmp_path / "text.png", "not an image")
    refused(style("tiny.png", RED, (80, 40)), "too small")
    refused(style("clear.png", (*RED, 0)), "shows nothing")


def test_views_that_do_not_fit(folder, style):
    stylist = open_stylist("neural", NeuralConfig(style=(style(),)))
    with pytest.raises(IdfError, match="differ in size") as error:
        stylist.prepare([head(), head(size=(80, 70))])
    assert "70x80" in error.value.found and error.value.do
    empty = View(np.ones((70, 70, 3), np.float32), np.zeros((70, 70), np.float32))
    with pytest.raises(IdfError, match="No view shows a head"):
        stylist.prepare([empty])
    stylist.prepare([head(), head(name="b", seed=1)])  # one of several may be empty
    blank = View(np.ones((90, 70, 3), np.float32), np.zeros((90, 70), np.float32))
    np.testing.assert_array_equal(stylist.stylize(blank), blank.rgb)


def test_an_opaque_view_is_painted_whole(folder, style):
    view = View(head().rgb, np.ones((90, 70), np.float32))
    assert np.abs(painted(view, style()) - view.rgb).mean(-1).min() > 0.01


def test_smaller_strokes_at_a_smaller_size(folder, style):
    """Below 384 a view is enlarged, so that strokes have the size that the network learned."""
    stylist = open_stylist("neural", NeuralConfig(style=(style(),)))
    stylist.prepare([head()])
    assert max(stylist._seen[0].shape[:2]) == 384
    coarse = open_stylist("neural", NeuralConfig(style=(style(),), size=90))
    coarse.prepare([head()])
    assert coarse._seen[0].shape[:2] == (90, 70)


@pytest.mark.parametrize("harm, what", [
    (lambda p: p.write_bytes(p.read_bytes()[:-100]), "bytes, not"),
    (lambda p: p.write_bytes(b"\0" * p.stat().st_size), "another content"),
    (lambda p: p.unlink(), "is not there")])
def test_damaged_weights(folder, style, monkeypatch, harm, what):
    open_stylist("neural", NeuralConfig(style=(style(),)))
    harm(folder / neural_files.TRANSFORM)
    with pytest.raises(IdfError, match="cannot run here") as error:
        open_stylist("neural", NeuralConfig(style=(style(),)))
    assert "idf download neural_style" in error.value.found
    with pytest.raises(IdfError, match=f"(?s).*{what}"):
        STYLISTS.find("neural").load_unchecked()(NeuralConfig(style=(style(),)))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(folder, style, monkeypatch, package):
    find = registry.importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec",
                        lambda name, *a: None if name == package else find(name, *a))
    with pytest.raises(IdfError, match="cannot run here") as error:
        open_stylist("neural", NeuralConfig(style=(style(),)))
    assert f"pip install {package}" in error.value.found
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(IdfError, match="not installed") as error:
        StyleNetwork(folder / neural_files.TRANSFORM)
    assert "pip install" in error.value.do


def test_another_network_is_told(tmp_path):
    with pytest.raises(IdfError, match="is not a style network") as error:
        StyleNetwork(tiny_style.predict(tmp_path / "net.onnx"))
    assert "style_image" in error.value.found
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(IdfError, match="cannot be opened") as error:
        StyleNetwork(tmp_path / "text.onnx")
    assert "idf download" in error.value.do
    with pytest.raises(IdfError, match="does not exist"):
        StyleNetwork(tmp_path / "none.onnx")
