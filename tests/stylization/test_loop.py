import json
import shutil

import numpy as np
import pytest

from idf_helpers import Dataset, IdfError
from idf_helpers.cli.main import main
from idf_helpers.data.media import read_video, video_info, video_writer
from idf_helpers.provenance import verify
from idf_helpers.reconstruction.config import TrainingConfig
from idf_helpers.reconstruction.splats.ply import read_ply
from idf_helpers.runtime.files import write_json
from idf_helpers.runtime.progress import Reporter
from idf_helpers.stylization.config import KeyViewConfig, LoopConfig, ServerConfig
from idf_helpers.stylization.loop import Loop, loop
from idf_helpers.stylization.stylists.preset import PresetConfig

QUICK = dict(splats=TrainingConfig(iterations=40, resolution=32))


@pytest.fixture
def main_folder(head_folder, tmp_path):
    return shutil.copytree(head_folder, tmp_path / "main")


def command(*words):
    return main([*map(str, words), "--splat_iterations", "40", "--splat_resolution", "32"])


def test_two_iterations_of_a_look(main_folder, capsys):
    command("loop", main_folder, "--stylist", "preset", "--preset", "bronze", "--end", 2)
    said = capsys.readouterr().out
    assert "iter0.mp4 is made from the 12 pictures" in said and "iteration 2" in said
    for n in range(3):
        assert sum(1 for _ in read_video(main_folder / f"iter{n}.mp4")) == 12
        assert "synthetic" in video_info(main_folder / f"iter{n}.mp4").comment
    for n in (1, 2):
        folder = main_folder / f"iter{n}"
        assert {"frames", "model", "report.json"} <= {p.name for p in folder.iterdir()}
        before, after = (read_ply(folder / "model" / name) for name in
                         ("original.ply", "point_cloud.ply"))
        assert len(before) == len(after)  # and in one order, so that they can be mixed
        assert np.median(np.linalg.norm(before.means - after.means, axis=1)) < 0.02
        assert not np.allclose(before.sh, after.sh, atol=0.1)
        assert len(Dataset.open(folder / "frames").frames) == 12
        report = json.loads((folder / "report.json").read_text())
        assert report["strength"] == 1 and report["measures"]["splats_psnr"] > 10
    one, two = (json.loads((main_folder / f"iter{n}" / "model" / "run.json").read_text())
                for n in (1, 2))
    first = read_ply(main_folder / "iter1" / "original" / "point_cloud.ply")
    np.testing.assert_array_equal(first.means, before.means)
    # hashes: of the splats of the first views, of the first iteration's
    assert len(one["config"]["start"]) == len(two["config"]["start"]) == 64
    assert one["config"]["start"] != two["config"]["start"]
    said = verify(main_folder / "iter1.mp4").fields
    assert "Gaussian splats" in said["made"]

    before = {p: p.stat().st_mtime_ns for p in main_folder.rglob("*") if p.is_file()
              and p.name != "lock"}
    command("loop", "--main_folder", main_folder, "--stylist", "preset", "--preset", "bronze",
            "--end", 2)
    after = {p: p.stat().st_mtime_ns for p in before}
    assert after == before  # nothing was made again, whichever way it was asked for
    command("loop", main_folder, "--stylist", "preset", "--preset", "bronze", "--start", 2,
            "--end", 3)
    assert (main_folder / "iter3.mp4").is_file()
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_every_flag_reaches_its_stage(main_folder, painter, monkeypatch, capsys):
    seen = {}

    def iteration(self, n, data, stylist, config, propagator):
        seen[n] = (len(data.frames), stylist, config, self.plan, self.views, propagator)
        write_json(self.out / f"iter{n}" / "report.json",
                   {"measures": {}, "strength": config.strength})

    monkeypatch.setattr(Loop, "iteration", iteration)
    monkeypatch.setattr(Loop, "rendered", lambda self, n: self.first)
    main(["loop", "--main_folder", str(main_folder), "--prompt", "an elf", "--stylist",
          "painter", "--start", "0", "--end", "2", "--fps", "12", "--batch_size", "4",
          "--sides", "2", "--resolution", "512", "--max_frames", "6", "--border_frames", "2",
          "--ebsynth_mode", "False", "--output_resolution", "48", "--negative_prompt", "hat",
          "--seed", "9", "--server", "http://127.0.0.1:7", "--strength", "0.6", "0.45",
          "--propagator", "flow", "--steps", "11", "--splat_s", "7", "--splat_resolution", "99"])
    text = capsys.readouterr().out
    assert "iteration 2, strength 0.45" in text and "--border_frames 2 has no effect" in text
    assert sorted(seen) == [1, 2] and seen[2][2].strength == 0.45
    assert seen[2][2].seed == 10  # another noise in each iteration
    count, stylist, config, plan, views, propagator = seen[1]
    assert count == 6 and stylist == "painter" and propagator == "flow"
    assert (config.prompt, config.negative_prompt, config.seed, config.server, config.steps) == \
        ("an elf", "hat", 9, "http://127.0.0.1:7", 11)
    assert (config.mode, config.size, config.strength) == ("2x2", 512, 0.6)
    assert (plan.fps, plan.max_frames) == (12.0, 6)
    assert (plan.splats.budget_s, plan.splats.iterations, plan.splats.resolution) == (7, None, 99)
    assert (views.batch, views.batch_key, views.resolution) == (4, "first", 48)


def test_splats_that_are_there_already_are_begun_with(main_folder, tmp_path):
    first = loop(main_folder, "preset", PresetConfig(preset="gold"), LoopConfig(**QUICK),
                 out=tmp_path / "gold")
    given = first.parent / "iter1" / "original"
    loop(main_folder, "preset", PresetConfig(preset="jade"), LoopConfig(**QUICK), original=given,
         out=tmp_path / "jade")
    folder = tmp_path / "jade" / "iter1"
    assert not (folder / "original").exists()
    np.testing.assert_array_equal(read_ply(folder / "model" / "original.ply").means,
                                  read_ply(given / "point_cloud.ply").means)


def test_splats_that_are_not_there_are_missed_before_anything_is_styled(main_folder, tmp_path):
    with pytest.raises(IdfError, match="neither a run folder"):
        loop(main_folder, "preset", PresetConfig(preset="red_hair"), LoopConfig(**QUICK),
             original=tmp_path / "none", out=tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_one_strength_is_that_of_the_first_iteration(main_folder, painter, monkeypatch, capsys):
    monkeypatch.setattr(Loop, "iteration", lambda self, n, data, stylist, config, propagator:
                        write_json(self.out / f"iter{n}" / "report.json",
                                   {"measures": {}, "strength": config.strength}))
    monkeypatch.setattr(Loop, "rendered", lambda self, n: self.first)
    main(["loop", str(main_folder), "an elf", "--stylist", "painter", "--end", "3", "--strength",
          "0.8"])
    said = capsys.readouterr().out
    assert all(f"iteration {n}, strength {s}" in said for n, s in ((1, 0.8), (2, 0.6), (3, 0.48)))


def test_flags_that_nothing_reads_are_refused(main_folder, painter, capsys):
    for words, named in ((("--preset", "gold"), "--preset"), (("--lora", "x"), "--lora"),
                         (("--keys", "2"), "keys")):
        with pytest.raises(SystemExit) as end:
            main(["loop", str(main_folder), "an elf", "--stylist", "painter", *words])
        assert end.value.code == 2
        assert named in "".join(capsys.readouterr())
    assert not painter.asked and not (main_folder / "iter0.mp4").exists()
    with pytest.raises(IdfError, match="no dataset|does not exist|no such"):
        loop(main_folder / "nowhere", "painter", ServerConfig(prompt="x"))


def test_without_a_stylist_it_stops_and_names_them(main_folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["loop", str(main_folder), "a bronze bust", "--start", "0", "--end", "3"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "preset" in said and "exemplar" in said and "Traceback" not in said
    assert not (main_folder / "iter0.mp4").exists()
    for words in (["loop"], ["loop", str(main_folder), "x", "--prompt", "y", "--stylist", "preset"],
                  ["loop", str(main_folder), "--stylist", "preset", "--preset", "gold", "--start",
                   "2", "--end", "3"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2


def test_a_stopped_loop_goes_on(main_folder, painter):
    config = ServerConfig(prompt="elf", strength=0.8)
    args = dict(views=KeyViewConfig(keys=3), propagator="flow")
    plan = LoopConfig(end=2, **QUICK)
    for _ in range(2):  # in the keys of the first, then of the second iteration
        painter.fail_at = len(painter.asked) + 1
        with pytest.raises(KeyboardInterrupt):
            loop(main_folder, "painter", config, plan, **args)
        painter.fail_at = None
        loop(main_folder, "painter", config, LoopConfig(end=1, **QUICK), **args)
    loop(main_folder, "painter", config, plan, **args)
    assert len(painter.asked) == 6 and {a[4] for a in painter.asked} == {0.8, 0.8 * 0.75}
    assert len({(a[0], a[4]) for a in painter.asked}) == 6  # no key was asked for twice
    views = Dataset.open(main_folder / "iter2" / "views")  # the renders of the first model
    assert views.frames[0].image().shape == (64, 64, 4)
    model = read_ply(main_folder / "iter2" / "model" / "point_cloud.ply")
    assert len(model) > 100


def test_a_video_that_does_not_match(main_folder):
    with video_writer(main_folder / "iter0.mp4", 30) as video:
        for _ in range(5):
            video.append(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(IdfError, match="does not match the transforms") as error:
        loop(main_folder, "preset", PresetConfig(preset="gold"), LoopConfig(**QUICK))
    assert error.value.found == "5 frames, 12 cameras"


def test_another_first_video_is_what_is_restyled(main_folder, painter):
    with video_writer(main_folder / "iter0.mp4", 30, crf=5) as video:
        for _ in range(12):
            video.append(np.full((64, 64, 3), (200, 40, 40), np.uint8))
    lines = []

    class Notes(Reporter):
        def note(self, text):
            lines.append(text)

    loop(main_folder, "painter", ServerConfig(prompt="elf", strength=1.0), LoopConfig(**QUICK),
         views=KeyViewConfig(keys=2), propagator="flow", reporter=Notes())
    assert any("differs from the pictures" in line for line in lines)
    views = Dataset.open(main_folder / "iter1" / "views")
    image, before = views.frames[3].image(), Dataset.open(main_folder).frames[3].image()
    np.testing.assert_array_equal(image[..., 3], before[..., 3])
    assert np.abs(image[..., :3].astype(int) - (200, 40, 40)).max() < 12
    styled = Dataset.open(main_folder / "iter1" / "frames").frames[3].image()
    solid = styled[..., 3] == 255
    assert np.median(np.abs(styled[solid][:, :3].astype(int) - (40, 40, 200))) < 14


def test_transforms_that_do_not_match_the_pictures(main_folder, edit_json):
    (main_folder / "train_main" / "r_3.png").unlink()
    with pytest.raises(IdfError, match="1 of 12 pictures"):
        loop(main_folder, "preset", PresetConfig(preset="gold"))
    edit_json(main_folder / "transforms_train_main.json",
              lambda d: d["frames"][0].update(transform_matrix=[[2, 0], [0, 1]]))
    with pytest.raises(IdfError, match="4x4"):
        loop(main_folder, "preset", PresetConfig(preset="gold"))
    assert not (main_folder / "iter0.mp4").exists()
