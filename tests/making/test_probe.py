"""What footage is taken for, and what is doubted about it."""

import numpy as np
import pytest
from PIL import Image

from idf_helpers.data import media
from idf_helpers.data.footage import Source
from idf_helpers.errors import IdfError
from idf_helpers.making.moments import clock, moments, spans
from idf_helpers.making.probe import FRAMES, look_at, spread

from ..fixtures.footage import talk_pictures, turn_pictures, write_video
from ..fixtures.reporting import Notes


def test_a_turn_round_a_still_head(tmp_path):
    video = write_video(tmp_path / "turn.mp4", turn_pictures())
    look, sheet = look_at(Source(video))
    assert look.kind == "turn" and "from behind" in look.why and "keeps still" in look.why
    assert look.measures["yaw"][1] - look.measures["yaw"][0] > 90
    assert look.measures["with_face"] < look.measures["frames"] == FRAMES
    assert "--as talk" in look.otherwise
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 8 * 160


def test_frames_of_an_animation_are_looked_at_up_to_its_end(tmp_path):
    first, *rest = (Image.new("RGB", (32, 24), (i, 0, 0)) for i in range(2 * FRAMES - 1))
    first.save(tmp_path / "a.webp", save_all=True, append_images=rest, duration=100, lossless=True)
    times = [time for _, time, _ in spread(Source(tmp_path / "a.webp"))]
    assert len(times) == FRAMES and times[0] == 0 and times[-1] == pytest.approx(
        0.1 * (2 * FRAMES - 2))


def test_photos_of_a_turn_in_any_order(tmp_path):
    """Few photos, of several sizes, are a turn as well, and it is said that they are few."""
    order = np.random.default_rng(0).permutation(12)
    for i, picture in zip(order, turn_pictures(4), strict=True):
        smaller = media.resize_area(picture, 240, 240) if i % 2 else picture
        media.write_image(tmp_path / f"IMG_{i}.jpg", smaller)
    look, _ = look_at(Source(tmp_path))
    assert look.kind == "turn"
    assert any("only 12 pictures" in d for d in look.doubts)


def test_a_talking_head(tmp_path):
    video = write_video(tmp_path / "talk.mp4", talk_pictures())
    notes = Notes()
    look, _ = look_at(Source(video), reporter=notes)
    assert look.kind == "talk" and "the mouth moves" in look.why and not look.doubts
    assert look.measures["mouth_mm"] > 4 and "--as turn" in look.otherwise
    assert any("looking" in step for step in notes.steps)


def test_what_the_user_says_counts_and_a_contradiction_is_said(tmp_path):
    look, _ = look_at(Source(write_video(tmp_path / "talk.mp4", talk_pictures())), "turn")
    assert look.kind == "turn" and "it looks like a talking head" in look.doubts[0]


def test_a_picture_that_stands_still_is_doubted(tmp_path):
    pictures = talk_pictures(slice(0, 1)) * 24
    look, _ = look_at(Source(write_video(tmp_path / "still.mp4", pictures, fps=6)))
    assert "Hardly anything moves" in look.doubts[0]
    assert any("only 4 s long" in d for d in look.doubts)


def test_a_face_that_is_small_dark_and_cut_off(tmp_path):
    pictures = [(0.18 * p).astype(np.uint8)[:160] for p in talk_pictures()]
    look, _ = look_at(Source(write_video(tmp_path / "dark.mp4", pictures)))
    for words in ("is dark", "cut off"):
        assert any(words in d for d in look.doubts), (words, look.doubts)
    small = [media.resize_area(p, 120, 120) for p in talk_pictures()]
    look, _ = look_at(Source(write_video(tmp_path / "small.mp4", small)))
    assert any("pixels high" in d for d in look.doubts)


def test_the_part_round_the_head(tmp_path):
    """A head in a wide picture: the square holds every face with room above and below."""
    faces = talk_pictures()
    wide = [np.full((512, 1024, 3), 90, np.uint8) for _ in faces]
    for picture, face in zip(wide, faces, strict=True):
        picture[100:356, 600:856] = face
    look, _ = look_at(Source(write_video(tmp_path / "wide.mp4", wide)))
    x0, y0, x1, y1 = look.crop
    assert x1 - x0 == y1 - y0 <= 512 and x0 < 620 and x1 > 836 and y0 < 130 and y1 > 340
    assert not look_at(Source(write_video(tmp_path / "close.mp4", faces)))[0].crop
    cut = [p for _, p in Source(tmp_path / "wide.mp4", look.crop).frames(every=12)]
    assert len(cut) == 2 and cut[0].shape == (y1 - y0, x1 - x0, 3)


def test_two_people(tmp_path):
    one = talk_pictures()
    both = [np.hstack([a, b]) for a, b in zip(one, reversed(one), strict=True)]
    with pytest.raises(IdfError, match="two people") as error:
        look_at(Source(write_video(tmp_path / "both.mp4", both)))
    assert "crop" in error.value.do
    alone = [np.hstack([a, np.full_like(a, 128)]) for a in one]
    look, _ = look_at(Source(write_video(tmp_path / "some.mp4", both[:6] + alone[6:])))
    assert any(d.startswith("A second person is in the picture at 0:00") for d in look.doubts)


def test_no_face(tmp_path):
    gray = [np.full((120, 160, 3), 20 * i, np.uint8) for i in range(10)]
    with pytest.raises(IdfError, match="No face was found"):
        look_at(Source(write_video(tmp_path / "gray.mp4", gray)))


def test_frames_lie_evenly_over_the_footage(tmp_path):
    pictures = [np.full((48, 64, 3), 2 * i, np.uint8) for i in range(100)]
    found = list(spread(Source(write_video(tmp_path / "ramp.mp4", pictures, fps=25)), 10))
    values = [int(p.mean()) for _, _, p in found]
    assert len(found) == 10 and np.all(np.diff(values) > 14), values
    assert found[9][0] == "0:03" and found[9][1] == pytest.approx(3.6)


def test_moments_in_words():
    assert clock(65.2) == "1:05" and moments(["a", "a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert spans([0, 1, 2, 30, 31, 90], 10) == "0:00, 0:03, 0:09"
    assert spans(range(25, 80), 10) == "0:02–0:07" and spans([3, 4, 9], 0) == "3–4, 9"
