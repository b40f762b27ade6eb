"""Every flag of the authors' scripts is understood, or answered with ours."""

import pytest

from idf_helpers import IdfError
from idf_helpers.cli import stylize
from idf_helpers.cli.commands import COMMANDS
from idf_helpers.cli.main import main
from idf_helpers.cli.original_scripts import ELSEWHERE, loop_flags, stylize_flags
from idf_helpers.cli.parser import parse

# The add_argument calls of quereste/deepfake-for-the-good, diffusion/*.py.
SCRIPTS = {
    "loop": "main_folder prompt start end fps batch_size sides resolution max_frames border_frames "
            "ebsynth_mode output_resolution",
    "automate_process": "video_path target_folder prompt fps batch_size sides resolution "
                        "max_frames border_frames ebsynth_mode output_resolution",
    "preprocess_video": "video_path target_folder fps batch_size sides resolution max_frames "
                        "border_frames ebsynth_mode max_frames_to_save",
    "process_collage": "target_folder prompt negative_prompt server",
    "prepare_ebsynth": "target_folder output_resolution",
    "recombine_ebsynth": "target_folder", "join_video": "target_folder",
    "cut_alpha_split": "target_folder"}
VALUES = {"main_folder": "M", "prompt": "an elf", "video_path": "M/iter2.mp4", "sides": "4",
          "target_folder": "M/iter3", "server": "127.0.0.1:7860", "negative_prompt": "hat",
          "ebsynth_mode": "True"}


def words(script):
    return [w for name in SCRIPTS[script].split() for w in (f"--{name}", VALUES.get(name, "7"))]


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_script_as_a_loop(script):
    """What comes out is parsed without complaint by the verb, with a stylist named."""
    argv = loop_flags(words(script))
    if "prompt" not in SCRIPTS[script]:
        argv += ["--prompt", "x"]
    found = parse(COMMANDS["loop"], stylize.loop, [*argv, "--stylist", "a1111"])
    assert str(found["main_folder"]) == "M"
    if script != "loop":
        assert (found["start"], found["end"]) == (2, 3)
    if "sides" in SCRIPTS[script]:
        assert (found["config"].mode, found["config"].size) == ("4x4", 7)
    if "fps" in SCRIPTS[script]:
        assert (found["fps"], found["batch_size"], found["max_frames"]) == (7.0, 7, 7)
    if script == "process_collage":
        assert (found["config"].server, found["config"].negative_prompt) == (
            "http://127.0.0.1:7860", "hat")


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_flag_of_stylize_is_taken_or_answered(script):
    for name in SCRIPTS[script].split():
        value = VALUES.get(name, "7")
        if name in ELSEWHERE:
            with pytest.raises(IdfError) as error:
                stylize_flags(["D", f"--{name}", value])
            assert name in error.value.what and "\n" not in error.value.do
        else:
            out = stylize_flags(["D", f"--{name}={value}"])
            assert out[0] == "D" and (f"--{name}" not in " ".join(out) or
                                      name in ("prompt", "negative_prompt", "server", "resolution"))
    assert stylize_flags(["D", "--target-folder", "T", "--sides", "3"]) == \
        ["D", "--out", "T", "--mode", "3x3"]


def test_what_has_no_effect_is_said(capsys):
    argv = loop_flags(["--video_path", "M/iter0.mp4", "--target_folder", "M/styled",
                       "--border_frames", "2", "--max_frames", "9", "--max_frames_to_save", "5"])
    assert argv == ["M", "--max_frames", "9", "--start", "0", "--end", "1"]
    said = capsys.readouterr().out
    assert all(w in said for w in ("--border_frames 2", "--max_frames_to_save 5", "M/iter1"))
    assert loop_flags(["--target_folder=M/iter4", "--max_frames_to_save", "5", "--end", "6"]) == \
        ["M", "--end", "6", "--max_frames", "5", "--start", "3"]


@pytest.mark.parametrize("argv, do", [
    (["--video_path", "V/turn.mp4", "--target_folder", "V/iter1"], "copy it to V/iter0.mp4"),
    (["--video_path", "A/iter0.mp4", "--target_folder", "B/iter1"], "move it to B"),
    (["--target_folder", "M/styled"], "idf loop M"),
    (["--main_folder", "M", "--video_path", "M/iter0.mp4"], "one of them")])
def test_what_is_not_clear_is_asked(argv, do, capsys):
    with pytest.raises(SystemExit):
        main(["loop", *argv, "--prompt", "an elf"])
    assert do in capsys.readouterr().err


@pytest.mark.parametrize("flags", [loop_flags, stylize_flags])
def test_a_flag_at_the_end_needs_its_value(flags):
    with pytest.raises(IdfError, match="--sides has no value"):
        flags(["M", "--prompt", "an elf", "--sides"])
