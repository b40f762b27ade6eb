"""The main job end to end, small: swap, splats, view; a second call; a call after a kill."""

import subprocess
import sys

import pytest

from idf_helpers.cli.demo import demo
from idf_helpers.data import media, samples
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.runtime.files import read_json
from idf_helpers.runtime.progress import Reporter
from tests.fixtures.marked import layers_of

SMALL = SplatConfig(iterations=150, resolution=64, initial=1500, max_gaussians=2500)
VIEW = ExportConfig(resolution=96, frames=8)


class Stages(Reporter):
    def __init__(self):
        self.lines = []

    def stage(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    heard = Stages()
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, demo(out, config=SMALL, view=VIEW, reporter=heard), heard.lines


def test_everything_is_there_and_marked(made):
    out, result, lines = made
    assert sorted(p.name for p in out.iterdir()) == [
        "make_report.json", "report.md", "splats", "swap", "view"]
    assert set(result.files) == {"avatar.ply", "avatar.png", "viewer.html", "orbit.mp4", "swap.png"}
    run_id = read_json(out / "splats/run.json")["run_id"]
    for name, path in result.files.items():
        v = verify(path)
        assert v.synthetic and v.consent.basis == "synthetic" and not v.problems, name
        if name != "swap.png":
            assert v.fields["run_id"] == run_id and "swapped views" in v.fields["made"]
    assert [line[:10].split() for line in lines] == [["1/3", "swap"], ["2/3", "splats"],
                                                     ["3/3", "view"]]
    assert result.metrics["psnr"] > 20
    assert len(list(media.read_video(result.files["orbit.mp4"]))) == 8


def test_each_file_that_shows_the_made_head_says_so_in_two_layers(made):
    found = layers_of(made[0], samples.path("head_multiview").rglob("*.png"))
    assert sum(name.startswith("swap/") for name in found) > 80
    for name in ("view/avatar.ply", "view/viewer.html", "view/orbit.mp4", "view/swap.png",
                 "splats/point_cloud.ply", "splats/held_out.jpg"):
        assert "C2PA" in found[name], name
    for name in ("view/swap.png", "splats/held_out.jpg"):  # the video is too small at 96 pixels
        assert "watermark" in found[name], name


def test_second_call_does_nothing(made):
    out, first, _ = made
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    again = demo(out, config=SMALL, view=VIEW)
    assert stamps == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert again.metrics == first.metrics and again.files == first.files


CHILD = """
import sys
from idf_helpers.cli.demo import demo
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.runtime.progress import Line
demo(sys.argv[1], config=SplatConfig(iterations=150, resolution=64, initial=1500,
     max_gaussians=2500), view=ExportConfig(resolution=96, frames=8), reporter=Line())
"""


@pytest.mark.parametrize("stage", ["2/3", "3/3"])
def test_killed_and_called_again(made, tmp_path, stage):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "out")],
                             stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if line.startswith(stage):
            child.kill()
            break
    assert child.wait() != 0
    child.stdout.close()
    result = demo(tmp_path / "out", config=SMALL, view=VIEW)
    assert all(verify(p).synthetic for p in result.files.values())
    # given in iterations, so the same to the bit as the run that was left alone
    assert {k: v for k, v in result.metrics.items() if k not in ("seconds", "peak_rss_mb")} == \
        {k: v for k, v in made[1].metrics.items() if k not in ("seconds", "peak_rss_mb")}
    assert not list((tmp_path / "out").rglob("*.part*"))
