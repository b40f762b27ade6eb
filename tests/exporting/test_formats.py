"""Which formats a scene has, by what it can do, and which settings each of them reads."""

import pytest

from idf_helpers import IdfError, Reporter
from idf_helpers.cli.main import main
from idf_helpers.data.media import read_image, read_video
from idf_helpers.exporting import Model, export, formats
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.formats import FORMATS, formats_of
from idf_helpers.provenance import Mark, verify
from idf_helpers.reconstruction.splats.ply import write_ply
from idf_helpers.reconstruction.splats.scene import GaussianScene
from tests.fixtures.field import CAMERAS, Field
from tests.fixtures.gaussians import visible
from tests.fixtures.talking_ball import BallScene


def model_of(scene, tmp_path, **exporters):
    return Model(scene, Mark("0" * 12, "a test"), tmp_path, "model", exporters)


def test_formats_follow_from_what_a_scene_can_do(tmp_path):
    splats = GaussianScene(visible(50), cameras=CAMERAS)
    of_avatars = {"frames", "zip", "face.glb"}
    assert set(formats_of(model_of(splats, tmp_path))) == set(FORMATS) - of_avatars
    assert set(formats_of(model_of(BallScene(30), tmp_path))) == {"png", "mp4", "html", "path.json"}
    field = model_of(Field(), tmp_path, glb=lambda scene, path: path.write_bytes(b"glTF"))
    assert set(formats_of(field)) == {"png", "mp4", "path.json", "glb"}
    with pytest.raises(IdfError, match="no export format `html`") as error:
        export(field, tmp_path / "a.html")
    assert "glb, mp4, path.json, png" in error.value.do
    with pytest.raises(IdfError, match="did you mean `png`"):
        export(field, tmp_path / "a", "pgn")


def test_progress_goes_to_the_reporter_and_the_suffix_is_added(tmp_path):
    class Steps(Reporter):
        seen = []

        def step(self, what, fraction, details=""):
            self.seen.append((what, fraction))

    config = ExportConfig(frames=3, resolution=32)
    path = export(model_of(Field(), tmp_path), tmp_path / "turn", "mp4", config, Steps())
    assert path.name == "turn.mp4" and len(list(read_video(path))) == 3 and verify(path).synthetic
    assert Steps.seen[-1] == ("writing turn.mp4", 1.0) and len(Steps.seen) == 3


def test_few_frames_wait_in_memory_however_many_processors(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "cpu_count", lambda: 500)
    drawn = []
    views = ((camera, drawn.append(camera)) for camera in CAMERAS[:1] * 40)
    finished = formats._finished(model_of(Field(), tmp_path), ExportConfig(), views)
    next(finished)
    assert len(drawn) <= formats.MOST_THREADS + 1
    assert len(list(finished)) == 39


def test_a_model_file_from_the_shell(tmp_path, capsys):
    ply = tmp_path / "a.ply"
    write_ply(visible(200), ply)
    main(["render", str(ply), "--out", str(tmp_path / "r"), "--views", "2", "--resolution", "32"])
    names = sorted(p.name for p in (tmp_path / "r").glob("*.png"))
    assert names == ["view_00.png", "view_01.png"]
    assert read_image(tmp_path / "r/view_00.png").shape[:2] == (32, 32)
    main(["render", str(ply), "--out", str(tmp_path / "r"), "--orbit", "--resolution", "32"])
    assert verify(tmp_path / "r/orbit.mp4").synthetic
    main(["export", str(ply), "--out", str(tmp_path / "b.png"), "--resolution", "32",
          "--crop", "9"])
    assert "crop:" in capsys.readouterr().out and (tmp_path / "b.png").is_file()


@pytest.mark.parametrize("flag, value", [("--fps", "5"), ("--frames", "5"), ("--no-label", None)])
def test_a_flag_that_a_format_does_not_read_is_refused(tmp_path, capsys, flag, value):
    write_ply(visible(20), tmp_path / "a.ply")
    with pytest.raises(SystemExit) as e:
        main(["export", str(tmp_path / "a.ply"), "--out", str(tmp_path / "b.splat"), flag,
              *([value] if value else [])])
    assert e.value.code == 2 and f"does not read {flag}" in capsys.readouterr().err
    assert not (tmp_path / "b.splat").exists()


def test_scenes_are_one_line_in_a_notebook():
    assert repr(GaussianScene(visible(50), cameras=CAMERAS)) == \
        "GaussianScene(50 Gaussians, 5 cameras)"
