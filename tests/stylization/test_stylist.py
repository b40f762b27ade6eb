import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.stylization.config import LoopConfig, PropagateConfig, RowConfig, StylizeConfig
from idf_helpers.stylization.stylist import View, checked_picture, open_stylist, stylist_class


def test_none_is_chosen_for_the_user():
    with pytest.raises(IdfError, match="who is to style") as error:
        stylist_class("", StylizeConfig(prompt="a bust"))
    assert "preset" in error.value.do and "exemplar" in error.value.do
    with pytest.raises(IdfError, match="no stylize backend"):
        stylist_class("midnight", StylizeConfig())


def test_an_empty_prompt_is_refused_by_those_that_read_it(painter):
    with pytest.raises(IdfError, match="needs a prompt"):
        open_stylist("painter", StylizeConfig(prompt="  "))
    assert open_stylist("painter", StylizeConfig(prompt="elf")).name == "painter"


@pytest.mark.parametrize("config", [
    StylizeConfig(strength=0.0), StylizeConfig(strength=1.5), StylizeConfig(strength=float("nan")),
    StylizeConfig(steps=0), StylizeConfig(seed=-1), StylizeConfig(mode="both"),
    StylizeConfig(grid=0), StylizeConfig(controlnet=("pose",)),
    StylizeConfig(controlnet=("canny",), controlnet_models=("a", "b")), RowConfig(keys=0),
    RowConfig(resolution=8), RowConfig(depth_s=0), PropagateConfig(tolerance=0),
    PropagateConfig(power=-1), LoopConfig(start=2, end=2), LoopConfig(strengths=(0.5, 0.0)),
    LoopConfig(fps=0)])
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
