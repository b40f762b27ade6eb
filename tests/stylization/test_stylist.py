import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.reconstruction.config import TrainingConfig
from idf_helpers.stylization.config import (
    KeyViewConfig,
    LoopConfig,
    PromptConfig,
    ServerConfig,
    StylizeConfig,
)
from idf_helpers.stylization.methods import STYLISTS, open_stylist
from idf_helpers.stylization.stylist import Stylist, View, checked_picture
from idf_helpers.stylization.stylists.comfyui import ComfyConfig
from idf_helpers.stylization.stylists.preset import PresetConfig


def test_none_is_chosen_for_the_user():
    with pytest.raises(IdfError, match="none is chosen for you") as error:
        open_stylist("", PromptConfig(prompt="a bust"))
    assert "preset" in error.value.do and "exemplar" in error.value.do
    with pytest.raises(IdfError, match="no stylize method"):
        open_stylist("midnight")


def test_another_stylists_settings_are_refused(painter):
    with pytest.raises(IdfError, match="takes other settings") as error:
        open_stylist("painter", PresetConfig(preset="bronze"))
    assert "ServerConfig" in error.value.do
    for entry in STYLISTS.entries.values():
        kind = entry.load_unchecked()
        assert issubclass(kind, Stylist) and kind.config_type is entry.config_type()


def test_control_pictures_by_model_and_weight():
    assert PromptConfig().controls() == {"depth": ("", 1), "canny": ("", 1)}
    assert PromptConfig(controlnet=()).controls() == {}
    config = PromptConfig(controlnet=("depth:0.5", "canny=C:/nets/canny", "normal=a/b:1.5"))
    assert config.checked().controls() == {
        "depth": ("", 0.5), "canny": ("C:/nets/canny", 1), "normal": ("a/b", 1.5)}


def test_where_a_server_stands_is_not_what_it_draws():
    a = ServerConfig(prompt="x", server="http://127.0.0.1:9", timeout_s=5, allow_remote=True)
    assert a.identity() == ServerConfig(prompt="x").identity()
    assert a.identity() != ServerConfig(prompt="x", steps=21).identity()


def test_an_empty_prompt_is_refused_by_those_that_read_it(painter):
    with pytest.raises(IdfError, match="needs a prompt"):
        open_stylist("painter", ServerConfig(prompt="  "))
    assert open_stylist("painter", ServerConfig(prompt="elf")).name == "painter"


@pytest.mark.parametrize("config", [
    StylizeConfig(strength=0.0), StylizeConfig(strength=1.5), StylizeConfig(strength=float("nan")),
    PromptConfig(steps=0), PromptConfig(seed=-1), PromptConfig(mode="both"),
    PromptConfig(mode="0x0"), PromptConfig(mode="2x3"), PromptConfig(controlnet=("pose",)),
    PromptConfig(controlnet=("canny", "pose=a")), PromptConfig(controlnet=("canny:3",)),
    ComfyConfig(workflow="own.json", controlnet=("depth",)), KeyViewConfig(keys=0),
    KeyViewConfig(resolution=8), KeyViewConfig(keys=4, batch=3), KeyViewConfig(background="plaid"),
    LoopConfig(start=2, end=2), LoopConfig(strengths=(0.5, 0.0)), LoopConfig(fps=0),
    LoopConfig(splats=TrainingConfig(budget_s=0))])
def test_settings_out_of_range(config):
    with pytest.raises(IdfError):
        config.checked()


def test_the_schedule_of_strengths():
    assert LoopConfig().strength(1, 0.8) == 0.8
    assert LoopConfig().strength(2, 0.8) == pytest.approx(0.6)
    assert LoopConfig().strength(9, 1.0) == LoopConfig().strength(3, 1.0) == 0.6
    assert [LoopConfig(strengths=(0.6, 0.4)).strength(n, 1) for n in (1, 2, 3)] == [0.6, 0.4, 0.4]


def test_a_view_changes_its_size(head):
    view = head.views[0].resized(48, 40)
    assert view.rgb.shape == (40, 48, 3) and view.depth.shape == (40, 48)
    assert view.camera.width == 48 and 0 <= view.mask.min() and view.mask.max() <= 1
    there = np.isfinite(view.depth)
    assert 3 < view.depth[there].min() and view.depth[there].max() < 5  # nothing mixed with NaN
    small = View(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.float32)).resized(16, 16)
    assert small.rgb.dtype == np.uint8 and small.depth is None


def test_answers_are_looked_at(head):
    view = head.views[0]
    good = checked_picture((view.rgb * 255).astype(np.uint8), view, "x")
    assert good.dtype == np.float32 and good.max() <= 1
    for bad, words in ((view.rgb[:50], "another size"), (np.zeros_like(view.rgb), "black"),
                       (np.full_like(view.rgb, np.nan), "NaN")):
        with pytest.raises(IdfError, match=words):
            checked_picture(bad, view, "x")
