import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.stylization.stylist import View
from idf_helpers.stylization.stylists.preset import PRESETS, PresetConfig, PresetStylist


def sample_views(step=12):
    frames = samples.dataset("head_turntable").frames[::step]
    return [View(i[..., :3], i[..., 3].astype(np.float32) / 255, name=f.name)
            for f in frames for i in [f.image()]]


@pytest.mark.parametrize("name", ["bronze", "porcelain"])
def test_a_look_depends_on_nothing_but_the_pixel(head, name):
    view = head.views[0]
    styled = PresetStylist(PresetConfig(preset=name)).stylize(view)
    order = np.random.default_rng(0).permutation(96 * 96)
    mixed = View(view.rgb.reshape(-1, 3)[order].reshape(96, 96, 3), view.mask)
    again = PresetStylist(PresetConfig(preset=name)).stylize(mixed)
    np.testing.assert_allclose(styled.reshape(-1, 3)[order], again.reshape(-1, 3), atol=1e-6)
    assert np.abs(styled - view.rgb)[view.mask > 0.5].mean() > 0.05


def test_strength_mixes(head):
    view, look = head.views[0], PresetStylist(PresetConfig(preset="gold"))
    whole, half = look.stylize(view, strength=1.0), look.stylize(view, strength=0.5)
    np.testing.assert_allclose(half, (view.rgb + whole) / 2, atol=1e-6)


def test_red_hair_leaves_skin_and_clothes():
    views = sample_views()
    look = PresetStylist(PresetConfig(preset="red_hair"))
    look.prepare(views)
    for view in views:
        before, after = view.source(), look.stylize(view)
        change = np.abs(after - before).max(-1)
        skin = (before[..., 0] > 0.55) & (before[..., 0] > before[..., 2] + 0.1) & (view.mask > 0.9)
        cloth = (before[..., 2] > before[..., 0] + 0.1) & (view.mask > 0.9)
        assert change[skin].mean() < 0.02 if skin.any() else True
        assert change[cloth].mean() < 0.02
        top = np.zeros_like(skin)
        rows = np.flatnonzero((view.mask > 0.9).any(1))
        top[rows[0] + 4:rows[0] + 24] = True
        hair = top & (view.mask > 0.9)
        assert (after[hair, 0] - after[hair, 1]).mean() > 0.1 + \
            (before[hair, 0] - before[hair, 1]).mean()


def test_a_head_without_hair_is_refused(head):
    bald = View(np.full((32, 32, 3), 0.6, np.float32), np.ones((32, 32), np.float32))
    with pytest.raises(IdfError, match="hair from skin"):
        PresetStylist(PresetConfig(preset="red_hair")).prepare([bald])
    with pytest.raises(IdfError, match="shows a head"):
        PresetStylist(PresetConfig(preset="red_hair")).prepare(
            [View(bald.rgb, np.zeros((32, 32), np.float32))])


def test_it_does_not_pretend_to_read_prompts():
    with pytest.raises(TypeError, match="prompt"):
        PresetConfig(prompt="an elf from the moon")
    with pytest.raises(IdfError, match="needs the name of a look") as error:
        PresetStylist(PresetConfig())
    assert all(name in error.value.do for name in PRESETS) and "diffusers" in error.value.do
    with pytest.raises(IdfError, match="no look `bronce`") as error:
        PresetStylist(PresetConfig(preset="bronce"))
    assert "did you mean `bronze`" in error.value.found
    with pytest.raises(IdfError, match="no look"):
        PresetStylist(PresetConfig(preset="granite"))
