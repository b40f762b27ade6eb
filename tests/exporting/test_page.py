"""The page of a model as an export format, and how far it can be turned."""

import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.data.cameras import Camera, round_trip, scene_frame
from idf_helpers.errors import IdfError
from idf_helpers.exporting import Model, export
from idf_helpers.exporting.avatar_payload import style_rig
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.pack import pack
from idf_helpers.exporting.payload import ViewerPayload, turn_range
from idf_helpers.metrics import psnr
from idf_helpers.reconstruction.splats.scene import GaussianScene
from tests.fixtures.gaussians import visible
from tests.fixtures.talking_ball import NAMES, BallScene
from tests.fixtures.unpack import unpack


def ring(angles):
    return [Camera.look_at((4 * np.sin(a), -4 * np.cos(a), 0.2), (0, 0, 0), (0, 0, 1), 0.5, 64, 64)
            for a in np.radians(angles)]


@pytest.mark.parametrize("angles, limits", [
    (np.arange(0, 360, 30), None), (np.arange(-40, 41, 10), (-65, 65)),
    (np.arange(-170, 171, 20), None)])
def test_a_viewer_turns_as_far_as_there_is_something_to_see(angles, limits):
    found = turn_range(ring(angles))
    assert found is None if limits is None else found == pytest.approx(limits, abs=2)


@pytest.mark.parametrize("low, high", [(-20, 120), (-100, 20)])
def test_a_head_seen_more_from_one_side_opens_at_its_face(low, high):
    """Cameras that know where the face looks are not centered on their own mean direction."""
    cameras = ring(np.arange(low, high + 1, 10))
    assert turn_range(cameras) == pytest.approx((-95, 95) if low == -20 else (-85, 85), abs=2)
    knowing = [replace(c, front=np.array([0.0, -1, 0])) for c in cameras]
    assert turn_range(knowing) == pytest.approx((low - 25, high + 25), abs=1)
    frame = scene_frame(knowing)
    assert frame.front == pytest.approx([0, -1, 0], abs=1e-6)
    first = round_trip(knowing, 8)[0]
    assert first.position[1] < 0 and abs(first.position[0]) < 0.02


@pytest.mark.parametrize("whole_head, beside", [(True, 10), (False, 6)])
def test_an_avatar_that_was_seen_from_one_side_turns_to_that_side(whole_head, beside):
    """No view farther from what its cameras saw than `beside`; one stray camera does not count."""
    scene = BallScene(30)
    scene.avatar.meta["whole_head"] = whole_head
    usual = np.zeros(100)
    scene.cameras = ring(np.concatenate([usual, np.linspace(0, 40, 60), [-60]]))
    frame = ViewerPayload.of_scene(scene).page["frame"]
    zero = np.degrees(np.arctan2(frame["front"][0], -frame["front"][1]))  # where yaw 0 is
    low, high = np.array(frame["turn"]) + zero
    assert -beside - 1 < low < -beside + 1 and 37 < high - beside < 40
    assert frame["yaw"] + zero == pytest.approx(0, abs=1)  # starts where it was seen most
    assert frame["tilt"][1] - frame["tilt"][0] == pytest.approx(2 * beside, abs=2)
    assert frame["sweep"] < high - low


@pytest.fixture
def talking(dataset_folder, edit_json):
    """A dataset with expressions of the ball's length, some beyond the trained range."""
    def add(data):
        for i, frame in enumerate(data["frames"]):
            frame["expression"] = [0.3 * i] * len(NAMES)
    for split in ("train", "val", "test"):
        edit_json(dataset_folder / f"transforms_{split}.json", add)
    return dataset_folder


def test_an_avatars_page_is_an_export_like_any_other(tmp_path, talking):
    scene = BallScene(600)
    mark = provenance.Mark("0123456789ab", "an avatar", consent="c" * 64)
    model = Model(scene, mark, tmp_path, "avatar", {}, 128, talking)
    path = export(model, tmp_path / "out" / "avatar.html", config=ExportConfig())
    text = path.read_text()
    assert provenance.marks.parse(text)["made"] == "an avatar"
    assert "AI-assisted face swap" in text.split('id="label"')[1][:80]
    page = json.loads(re.search(r'id="page">(.*?)</script>', text, re.S)[1])
    assert len(page["rig"]["sliders"]) == 9 and page["rig"]["track"]["frames"] == 6
    assert page["frame"]["turn"] == pytest.approx([-44, 44], abs=3)  # its cameras: 34 degrees
    assert page["frame"]["sweep"] < 60 and "<title>4D avatar</title>" in text
    named = ExportConfig(title="Anna & <Otto>", label=False)
    text = export(model, tmp_path / "named.html", config=named).read_text()
    assert text.count("Anna &amp; &lt;Otto&gt;") == 3  # title, h1, the canvas


def test_the_recorded_track_is_left_out_where_the_dataset_does_not_fit(tmp_path, talking):
    model = Model(BallScene(30), provenance.Mark("0" * 12, "x"), tmp_path, "avatar", {}, 128,
                  talking)
    track = model.track()
    assert track.values.max() == 1.0 and track.values[2, 0] == pytest.approx(0.6)
    assert track.fps == 25  # it says nothing of its rate
    file = talking / "transforms_train.json"
    file.write_text(json.dumps({"fps": 29.97} | json.loads(file.read_text())))
    assert model.track().fps == 29.97
    assert replace(model, source=tmp_path / "gone").track() is None
    for path in talking.glob("transforms_*.json"):
        path.write_text(path.read_text().replace("0.3, ", ""))
    assert model.track() is None


def test_a_styles_page_holds_the_original_and_little_more(tmp_path):
    """Colors alone: less than 40 % beyond the page without it, and both ends as they are drawn."""
    g = visible(6000)
    rng = np.random.default_rng(3)
    sh = g.sh.copy()
    sh[:, :9] += rng.uniform(-0.1, 0.1, sh[:, :9].shape).astype(np.float32)
    sh[:, 9:] = 0
    after = replace(g, sh=sh)
    rig = style_rig(g, after)
    both, plain = pack(g, 3, rig.deltas, [1.5], rig.fades), pack(g)
    assert len(gzip.compress(both)) < 1.4 * len(gzip.compress(plain))
    for weight, want in ((0.0, g), (1.0, after)):
        shown, camera = unpack(both, [weight]), ring([0])[0]
        assert psnr(GaussianScene(shown).render(camera), GaussianScene(want).render(camera)) > 45
    scene = GaussianScene(after, cameras=ring(np.arange(0, 360, 60)), original=g)
    payload = ViewerPayload.of_scene(scene, intensity=0.5)
    assert payload.rig["start"] == [0.5] and payload.rig["kind"] == "style"
    assert payload.title == "3D head"


def test_intensity_of_a_model_without_a_style_is_refused(tmp_path):
    scene = GaussianScene(visible(100), cameras=ring([0, 90]))
    model = Model(scene, provenance.Mark("run", "splats"), tmp_path, "plain", {})
    for name in ("a.png", "a.html"):
        with pytest.raises(IdfError, match="no style"):
            export(model, tmp_path / name, config=ExportConfig(intensity=0.5))
    with pytest.raises(IdfError, match="Only restyled splats"):
        export(replace(model, scene=BallScene(30)), tmp_path / "a.png",
               config=ExportConfig(intensity=0.5))
    assert not list(tmp_path.iterdir())
