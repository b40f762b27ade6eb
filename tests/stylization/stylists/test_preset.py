import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame
from idf_helpers.data.media import read_image
from idf_helpers.face.color import rgb_to_lab
from idf_helpers.face.person_mask import PersonMask
from idf_helpers.stylization.reproject import TOLERANCE, Key, reproject
from idf_helpers.stylization.shape import unit
from idf_helpers.stylization.stylist import View
from idf_helpers.stylization.stylists.lights import STUDIO
from idf_helpers.stylization.stylists.preset import PRESETS, PresetConfig, PresetStylist


def sample_views(step=6):
    frames = samples.dataset("head_turntable").frames[::step]
    return [View(i[..., :3], i[..., 3].astype(np.float32) / 255, camera=f.camera, name=f.name)
            .resized(160, 160) for f in frames for i in [f.image()]]


def finished(look, view):
    return look.finish(view, look.stylize(view), 1.0)


@pytest.mark.parametrize("name", ["bronze", "marble", "pencil", "elf"])
def test_a_view_is_styled_the_same_whatever_came_before(head, name):
    views = head.views[::3] if name != "elf" else sample_views()
    look, again = (PresetStylist(PresetConfig(preset=name)) for _ in range(2))
    look.prepare(views)
    again.prepare(views)
    finished(again, views[2])
    np.testing.assert_array_equal(finished(look, views[0]), finished(again, views[0]))
    change = np.abs(finished(look, views[0]) - views[0].source()).max(-1)
    assert change[views[0].mask > 0.5].mean() > 0.05 and change[views[0].mask == 0].max() == 0


def test_strength_mixes(head):
    view, look = head.views[0], PresetStylist(PresetConfig(preset="clay"))
    whole, half = look.stylize(view, strength=1.0), look.stylize(view, strength=0.5)
    np.testing.assert_allclose(half, (view.rgb + whole) / 2, atol=1e-6)


def test_a_highlight_moves_with_the_view_and_the_rest_does_not(head):
    look = PresetStylist(PresetConfig(preset="bronze"))
    look.prepare(head.views[::2])
    tolerance = TOLERANCE * scene_frame([v.camera for v in head.views]).radius
    a, b = head.views[0], head.views[3]
    moved = {}
    for part, made in (("matt", look.stylize), ("whole", lambda v: finished(look, v))):
        warped = reproject(a, [Key.of(b, made(b), tolerance)], tolerance)
        both = (warped.cosine > 0.4) & (a.mask > 0.95)
        moved[part] = np.abs(warped.rgb - made(a))[both].mean()
    assert moved["whole"] > 2 * moved["matt"] and moved["matt"] < 0.03
    # it is where the lamp is mirrored: half-way between lamp and camera lies the normal
    on = look.shape.surface(a)
    gloss = look.look.gloss(on).mean(1)
    half = unit(on.back + STUDIO[0].axis)
    near = (on.bumped(look.look.relief) * half).sum(1)
    assert gloss[near > 0.97].mean() > 3 * gloss[near < 0.7].mean()


def test_a_view_without_depth_and_camera_is_guessed():
    image = read_image(samples.photo("C"))[::4, ::4, :3]
    mask = PersonMask().alpha(image)
    view = View(image, mask, name="C")
    look = PresetStylist(PresetConfig(preset="marble"))
    picture = finished(look, view)
    assert look.used == {"shape": "guessed from outline and face"}
    head = mask > 0.9
    lab, before = rgb_to_lab(picture)[head], rgb_to_lab(image)[head]
    assert np.abs(lab[:, 1:]).mean() < 4 < np.abs(before[:, 1:]).mean() and lab[:, 0].std() > 5


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


def test_parts_of_the_head_are_told_apart():
    """Red hair leaves brows, an elf leaves hair and shirt; both change what they name."""
    views = sample_views()
    front = views[0]
    on, change, parts = None, {}, {}
    for name in ("red_hair", "elf"):
        look = PresetStylist(PresetConfig(preset=name))
        look.prepare(views)
        on = look.shape.surface(front)
        moved = np.abs(finished(look, front) - front.source()).max(-1)[on.rows, on.columns]
        change[name], parts = moved, look.regions.of(front, on)

    def mean(name, part):
        return change[name][parts[part] > 0.8].mean()

    assert (parts["brows"] > 0.8).sum() > 60 and (parts["iris"] > 0.5).sum() > 20
    assert mean("red_hair", "brows") < 0.02 and mean("red_hair", "cloth") < 0.01
    assert mean("red_hair", "skin") < 0.01 < 0.1 < mean("red_hair", "hair")
    assert mean("elf", "hair") < 0.02 and mean("elf", "cloth") < 0.01
    assert mean("elf", "skin") > 0.1 and mean("elf", "iris") > 0.1 and mean("elf", "lips") > 0.05


def test_an_elf_without_a_face_is_refused(head):
    with pytest.raises(IdfError, match="finds no skin"):
        PresetStylist(PresetConfig(preset="elf")).prepare(head.views[10:15])


def test_without_models_of_faces_a_bust_is_made_and_an_elf_is_not(head, tmp_path, monkeypatch):
    monkeypatch.setenv("IDF_CACHE", str(tmp_path))
    monkeypatch.delenv("IDF_FACE_MODELS", raising=False)
    look = PresetStylist(PresetConfig(preset="bronze"))
    look.prepare(head.views[::3])
    assert look.used["shape"].startswith("depth of all views; the face is not looked for (idf down")
    assert np.isfinite(finished(look, head.views[0])).all()
    with pytest.raises(IdfError, match="finds no skin") as error:
        PresetStylist(PresetConfig(preset="elf")).prepare(sample_views())
    assert "download face_landmarks" in error.value.do


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
