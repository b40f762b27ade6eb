"""The paper's 4D in one command: a photo into all frames, then an avatar trained on them."""

import pytest

from idf_helpers.cli.main import main
from idf_helpers.data import media, samples
from idf_helpers.data.dataset import Dataset
from idf_helpers.metrics import psnr
from idf_helpers.provenance.verify import verify
from idf_helpers.reconstruction import load
from idf_helpers.runtime.files import read_json
from tests.fixtures.datasets import part_of_talking


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Folder: 14 frames of the bundled talking head, the last two held out."""
    return part_of_talking(tmp_path_factory.mktemp("talk"), slice(66, 122, 4), 2)


def test_a_photo_becomes_an_avatar_in_one_command(talk, tmp_path, capsys):
    out = tmp_path / "avatar"
    command = ["avatar", str(talk), "--out", str(out), "--swap", str(samples.photo("C")),
               "--iterations", "250", "--resolution", "64", "--initial", "1200",
               "--max-gaussians", "1500", "--backend", "cpu", "--no-check-poses"]
    main(command)
    said = capsys.readouterr().out
    assert "swapped:" in said and "held-out frames" in said
    swapped, data = Dataset.open(tmp_path / "avatar-swap"), Dataset.open(talk)
    assert read_json(out / "run.json")["consent"] == read_json(
        tmp_path / "avatar-swap/run.json")["consent"]
    scene = load(out)
    for mine, before in zip(swapped.train[::4], data.train[::4], strict=True):
        # It shows the swapped face, not the one that was there.
        camera = mine.camera.fitted(64)
        shown = scene.render(camera, mine.expression)
        rows, columns = face_box(mine)
        near, far = (psnr(shown[rows, columns], small(f)[rows, columns]) for f in (mine, before))
        assert near > far + 1  # dB
    for name in ("avatar.npz", "held_out.jpg", "expressions.jpg"):
        assert verify(out / name).synthetic, name
    main(command)  # a second run reads back what is there
    assert "held-out frames" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["avatar", str(talk), "--out", str(tmp_path / "o"), "--consent", "mine"])
    assert "add --swap PHOTO" in capsys.readouterr().err


def small(frame):
    return media.resize_area(frame.image()[..., :3], 64, 64) / 255.0


def face_box(frame):
    """Rows and columns of the face within the head's box, of 64."""
    top, bottom, left, right = frame.bbox
    rows = top + (bottom - top) * 0.3, bottom - (bottom - top) * 0.15
    columns = left + (right - left) * 0.25, right - (right - left) * 0.25
    return (slice(*(int(64 * x) for x in rows)), slice(*(int(64 * x) for x in columns)))
