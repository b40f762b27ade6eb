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

