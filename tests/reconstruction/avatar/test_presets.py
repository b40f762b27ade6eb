"""An avatar offers the expressions that its frames hold, and no others."""

import numpy as np

from idf_helpers.exporting.avatar_payload import rig_json, rig_of
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.avatar.presets import find_presets, find_talk, stem
from idf_helpers.reconstruction.avatar.scene import AvatarScene

NAMES = ("jawOpen", "mouthSmile_L", "mouthSmile_R", "eyeBlink_L", "eyeBlink_R", "browInnerUp",
         "browOuterUp_L", "browOuterUp_R", "eyeLookOut_L")


def sequence(**shown):
    """200 frames at rest but for the named values, which come and go in turn."""
    rng = np.random.default_rng(0)
    out = rng.uniform(0, 0.05, (200, len(NAMES)))
    for k, (name, value) in enumerate(shown.items()):
        rows = slice(20 + 30 * k, 40 + 30 * k)
        for i, n in enumerate(NAMES):
            if stem(n) == name:
                out[rows, i] += value * np.sin(np.linspace(0, np.pi, 20))
    return out.astype(np.float32)


def test_what_is_there_is_offered_and_looks_like_it():
    frames = sequence(mouthSmile=0.7, eyeBlink=0.9, browInnerUp=0.8, browOuterUp=0.8)
    frames[:, NAMES.index("eyeLookOut_L")] = 0.6
    neutral = np.zeros(len(NAMES), np.float32)
    found = find_presets(NAMES, frames, neutral)
    assert list(found) == ["Smile", "Surprise", "Blink"]
    smile = dict(zip(NAMES, found["Smile"], strict=True))
    assert smile["mouthSmile_L"] > 0.6 and smile["eyeBlink_L"] == 0
    blink = dict(zip(NAMES, found["Blink"], strict=True))
    assert blink["eyeBlink_R"] > 0.8 and blink["mouthSmile_L"] == 0
    assert blink["eyeLookOut_L"] == 0  # where the eyes looked is no part of it


def test_what_is_not_there_is_not_offered():
    neutral = np.zeros(len(NAMES), np.float32)
    frames = sequence(eyeBlink=0.9)
    assert list(find_presets(NAMES, frames, neutral)) == ["Blink"]
    assert find_presets([f"e{i}" for i in range(len(NAMES))], frames, neutral) == {}
    assert find_talk(NAMES, frames) is None


def test_talk_is_the_stretch_in_which_the_jaw_moves_most():
    frames = sequence()
    frames[100:160, 0] += 0.4 * (np.arange(60) % 6 > 2)
    talk = find_talk(NAMES, frames)
    assert talk.shape == (75, len(NAMES)) and talk[:, 0].max() > 0.35
    assert (np.abs(np.diff(talk[:, 0])) > 0.3).sum() == 20  # all of it


def test_the_page_gets_them_and_old_files_have_none(trained, tmp_path):
    out, scene = trained
    avatar = BlendAvatar.load(out)
    avatar.meta["presets"] = {"Smile": avatar.basis.high.tolist()}
    avatar.extra["talk"] = np.stack([avatar.basis.low, avatar.basis.high])
    avatar.save(tmp_path / "new.npz")
    again = BlendAvatar.load(tmp_path / "new.npz")
    rig = rig_of(again)[1]
    page = rig_json(rig.basis, rig.track, rig.presets)
    assert page["presets"][0][0] == "Smile" and page["track"]["frames"] == 2
    assert rig.track.fps == 25  # where the clip does not say
    again.meta["fps"] = 12.5
    assert rig_of(again)[1].track.fps == 12.5
    for key in ("presets", "whole_head"):
        again.meta.pop(key, None)
    again.extra.pop("talk")
    again.save(tmp_path / "old.npz")
    rig = rig_of(BlendAvatar.load(tmp_path / "old.npz"))[1]
    assert rig_json(rig.basis, rig.track, rig.presets)["presets"] == [] and rig.track is None
    assert AvatarScene(again).render(scene.front, {}).shape[2] == 3
