import sys
from pathlib import Path

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.catalogue import STAGES
from idf_helpers.data.media import read_image, write_image
from idf_helpers.stylization.propagators.ebsynth import EbsynthPropagator, Waiting

ROOT = str(Path(__file__).resolve().parents[3])
FAKE = """#!{python}
import sys
sys.path.insert(0, {root!r})
from idf_helpers.data.media import read_image, write_image
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert sys.argv[3] == "-guide" and len(sys.argv) == 8, sys.argv
style, source, target = (read_image(p).astype(float) for p in
                         (sys.argv[2], sys.argv[4], sys.argv[5]))
write_image(sys.argv[7], (style * 0 + style.mean()).clip(0, 255).astype("uint8"))
"""


@pytest.fixture
def keys(head):
    return {0: head.styled[0], 12: head.styled[12]}


def test_it_is_not_here(head, keys, monkeypatch):
    monkeypatch.setenv("EBSYNTH_BIN", "/nowhere/ebsynth")
    with pytest.raises(IdfError, match="not installed"):
        EbsynthPropagator(head.views, keys)
    assert "EBSYNTH_BIN" in STAGES["propagate"].find("ebsynth").missing()


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_the_program_is_called_for_both_neighbors(head, keys, tmp_path, monkeypatch):
    program = tmp_path / "ebsynth"
    program.write_text(FAKE.format(python=sys.executable, root=ROOT))
    program.chmod(0o755)
    monkeypatch.setenv("EBSYNTH_BIN", str(program))
    made = EbsynthPropagator(head.views, keys).frame(3)
    expected = 0.75 * head.styled[0].mean() + 0.25 * head.styled[12].mean()
    assert made.rgb.mean() == pytest.approx(expected, abs=0.01)
    program.write_text(f"#!{sys.executable}\nraise SystemExit('no such style')\n")
    with pytest.raises(IdfError, match="failed") as error:
        EbsynthPropagator(head.views, keys).frame(3)
    assert "no such style" in error.value.found


def test_the_folders_of_the_program_with_windows(head, keys, tmp_path):
    by_folder = STAGES["propagate"].find(f"ebsynth:{tmp_path / 'eb'}").load()
    with pytest.raises(Waiting, match="Waiting for EbSynth") as waiting:
        by_folder(head.views, keys)
    assert "Run All" in waiting.value.do
    names = sorted(p.name for p in (tmp_path / "eb" / "keys").iterdir())
    # the turn closes: its first key stands once more behind the last frame
    assert names == ["keys00000.png", "keys00012.png", "keys00024.png"]
    assert len(list((tmp_path / "eb" / "frames").iterdir())) == 25
    for key, numbers in ((0, range(0, 12)), (12, range(1, 24)), (24, range(13, 24))):
        for n in numbers:
            color = np.full((96, 96, 3), 10 * (key % 24) + n, np.uint8)
            write_image(tmp_path / "eb" / f"out_{key:05d}" / f"{n:05d}.png", color)
    made = by_folder(head.views, keys)
    assert made.frame(3).rgb.mean() * 255 == pytest.approx(0.75 * 3 + 0.25 * 123, abs=0.6)
    assert made.frame(18).rgb.mean() * 255 == pytest.approx((18 + 138) / 2, abs=0.6)
    np.testing.assert_array_equal(made.frame(12).rgb, keys[12])
    write_image(tmp_path / "eb" / "out_00012" / "00005.png", np.zeros((48, 48, 3), np.uint8))
    with pytest.raises(IdfError, match="another size"):
        by_folder(head.views, keys)
    assert read_image(tmp_path / "eb" / "keys" / "keys00012.png").shape == (96, 96, 3)



def test_more_keys_than_the_program_takes_are_split(head, tmp_path):
    by_folder = STAGES["propagate"].find(f"ebsynth:{tmp_path / 'eb'}").load()
    keys = {i: head.styled[i] for i in range(len(head.views)) if i != 2 and i != 20}
    assert len(keys) + 1 == 23  # the turn closes: its first key once more
    with pytest.raises(Waiting) as waiting:
        by_folder(head.views, keys)
    assert "folders 0 to 1" in waiting.value.do and "20 keys" in waiting.value.do

    def numbers(project, kind):
        return sorted(int(p.stem[-5:]) for p in (tmp_path / "eb" / project / kind).iterdir())

    first, second = numbers("0", "keys"), numbers("1", "keys")
    assert (len(first), len(second)) == (20, 4) and first[-1] == second[0] == 21
    assert not (tmp_path / "eb" / "keys").exists()
    assert numbers("0", "frames") == list(range(22)) and numbers("1", "frames") == [21, 22, 23, 24]
    for project, key, number in (("0", 1, 2), ("0", 3, 2), ("0", 19, 20)):
        write_image(tmp_path / "eb" / project / f"out_{key:05d}" / f"{number:05d}.png",
                    np.full((96, 96, 3), 10 * key, np.uint8))
    with pytest.raises(Waiting, match="3 of 4"):
        by_folder(head.views, keys)
    write_image(tmp_path / "eb" / "1" / "out_00021" / "00020.png",
                np.full((96, 96, 3), 210, np.uint8))
    made = by_folder(head.views, keys)
    assert made.frame(2).rgb.mean() * 255 == pytest.approx((10 + 30) / 2, abs=0.6)
    assert made.frame(20).rgb.mean() * 255 == pytest.approx((190 + 210) / 2, abs=0.6)


def test_a_folder_that_was_begun_with_all_keys_is_gone_on_with(head, tmp_path):
    (tmp_path / "eb" / "keys").mkdir(parents=True)
    by_folder = STAGES["propagate"].find(f"ebsynth:{tmp_path / 'eb'}").load()
    with pytest.raises(Waiting):
        by_folder(head.views, {i: head.styled[i] for i in range(len(head.views)) if i != 2})
    assert not (tmp_path / "eb" / "0").exists()
    assert len(list((tmp_path / "eb" / "keys").iterdir())) == 24
