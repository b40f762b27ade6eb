"""A video given for an avatar is tracked first, in enough frames and large enough."""

import shutil

import numpy as np
import pytest
from PIL import Image

from idf_helpers.cli.main import main
from idf_helpers.data import media, samples
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction import reconstruct, sequence_of
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.sequence_of import as_sequence, is_footage
from idf_helpers.tracking.config import TrackConfig

from ..fixtures.datasets import make_dataset
from ..fixtures.footage import write_video

GRAY = [np.full((32, 48, 3), v, np.uint8) for v in range(0, 250, 25)]


@pytest.fixture
def tracked(monkeypatch):
    """What `track` was asked for; it ends there."""
    asked = {}

    def track(source, out, config=None, *, resume=True, reporter=None):
        asked.update(source=source, out=out, config=config)
        raise IdfError("asked", "", "")

    monkeypatch.setattr(sequence_of, "track", track)
    return asked


def test_what_is_footage(tmp_path):
    data = make_dataset(tmp_path / "data")
    shutil.copytree(data / "train", tmp_path / "photos")
    video = write_video(tmp_path / "v" / "a.mp4", GRAY)
    assert is_footage(video) and is_footage(tmp_path / "photos")
    assert not is_footage(data) and not is_footage(tmp_path / "v") and not is_footage(
        tmp_path / "none.mp4")
    first, *rest = map(Image.fromarray, GRAY)
    first.save(tmp_path / "moves.webp", save_all=True, append_images=rest, duration=40)
    first.save(tmp_path / "still.webp")
    assert is_footage(tmp_path / "moves.webp") and not is_footage(tmp_path / "still.webp")
    assert as_sequence(data, tmp_path / "t").root == data and not (tmp_path / "t").exists()


@pytest.mark.parametrize("fps, resolution, config", [
    (25, 128, TrackConfig(size=512)), (60, 300, TrackConfig(size=600, every=2)),
    (30, None, TrackConfig())])
def test_enough_frames_and_large_enough(tmp_path, tracked, fps, resolution, config):
    video = write_video(tmp_path / "a.mp4", GRAY, fps)
    with pytest.raises(IdfError, match="asked"):
        as_sequence(video, tmp_path / "t", resolution)
    assert tracked["config"] == config and tracked["out"] == tmp_path / "t"


def test_the_verb_and_the_command_track_a_video_beside_the_run(tmp_path, tracked, capsys):
    video = write_video(tmp_path / "a.mp4", GRAY, 25)
    with pytest.raises(IdfError, match="asked"):
        reconstruct(video, tmp_path / "run", "avatar", AvatarConfig(resolution=64))
    assert tracked["out"] == tmp_path / "run-track"
    tracked.clear()
    with pytest.raises(SystemExit):
        main(["avatar", str(video), "--out", str(tmp_path / "run"), "--resolution", "300"])
    assert tracked["out"] == tmp_path / "run-track" and tracked["config"].size == 600


def test_photo_and_consent_are_checked_before_the_tracking(tmp_path, tracked, capsys):
    video = write_video(tmp_path / "a.mp4", GRAY, 25)
    with pytest.raises(SystemExit):
        main(["avatar", str(video), "--out", str(tmp_path / "run"), "--swap",
              str(samples.photo("B"))])
    assert "consent" in capsys.readouterr().err and not tracked
    media.write_image(tmp_path / "wall.png", np.full((200, 200, 3), 130, np.uint8))
    with pytest.raises(SystemExit):
        main(["avatar", str(video), "--out", str(tmp_path / "run"), "--swap",
              str(tmp_path / "wall.png"), "--consent", "Nobody is shown here."])
    assert "wall.png" in capsys.readouterr().err and not tracked
