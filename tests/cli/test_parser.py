"""Commands come from signatures: each flag has help, each is read, ranges are shown."""

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from annotated_types import Interval

from idf_helpers.cli import parser
from idf_helpers.cli.commands import COMMANDS, Command
from idf_helpers.cli.main import main, overview
from idf_helpers.errors import IdfError
from idf_helpers.reconstruction.methods import METHODS
from idf_helpers.runtime.progress import Reporter
from idf_helpers.runtime.settings import RECIPE, Settings


@dataclasses.dataclass(frozen=True)
class BlurConfig(Settings):
    """Settings of a blur."""

    sigma: Annotated[float, Interval(gt=0, le=20)] = 1.5
    """Standard deviation in pixels."""
    edge: Annotated[float, Interval(ge=0), RECIPE] = 0.5
    """Set from Python only."""


def blur(picture: str | Path, out: Path, config: BlurConfig | None = None, *,
         twice: bool = False, reporter: Reporter | None = None) -> str:
    """Blur a picture.

    Args:
        picture: the file.
        out: where to.
        config: of the blur.
        twice: do it again.
        reporter: takes word of the progress.
    """
    assert reporter is not None  # the command line has one
    return f"{picture} {out} {config.sigma} {twice}"


COMMAND = Command("blur", "blur a picture", f"{__name__}:blur", ("picture",))


def test_arguments_become_flags_and_the_config_its_fields():
    found = parser.parse(COMMAND, blur, ["a.png", "--out", "b", "--sigma", "3", "--twice"])
    assert found["picture"] == Path("a.png") and found["out"] == Path("b")
    assert isinstance(found["config"], BlurConfig) and found["config"].sigma == 3
    assert found["twice"] is True and "reporter" not in found


def test_help_shows_ranges_and_words(capsys):
    with pytest.raises(SystemExit) as end:
        parser.parse(COMMAND, blur, ["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    for words in ("FLOAT in (0, 20]", "Standard deviation in pixels", "do it again", "the file"):
        assert words in text
    assert "--edge" not in text
    with pytest.raises(SystemExit):
        parser.parse(COMMAND, blur, ["a.png", "--out", "b", "--edge", "1"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    bare = []
    for line, following in zip(lines, lines[1:], strict=False):
        if re.match("│ -", line):  # words of help are indented
            words = re.split(r"\s{2,}", line.strip("│ "))[1:] or [following.strip("│ ")]
            if not words[0] or words[0].startswith(("(default", "(required", "-", "─")):
                bare.append(line)
    assert not bare, bare


def test_the_list_of_commands_names_each_with_its_summary():
    text = overview()
    for command in COMMANDS.values():
        assert command.name in text and command.summary in text
    done = subprocess.run([sys.executable, "-X", "importtime", "-c",
                           "from idf_helpers.cli.main import overview; overview()"],
                          capture_output=True, text=True, check=True)
    heavy = [n for n in ("numpy", "cv2", "tyro", "torch") if f"| {n}\n" in done.stderr]
    assert not heavy


def test_a_flag_that_the_method_does_not_read_is_an_error_that_names_it(tmp_path):
    with pytest.raises(IdfError, match="voxel.*does not read --near") as error:
        parser.run(COMMANDS["nerf"], ["x", "--out", str(tmp_path), "--near", "2"])
    assert "vanilla" in error.value.found
    with pytest.raises(IdfError, match="does not read --grid"):
        parser.run(COMMANDS["nerf"], ["x", "--out", str(tmp_path), "--backend", "vanilla",
                                      "--grid", "64"])
    with pytest.raises(IdfError, match="--rounds is no flag") as error:
        parser.run(COMMANDS["splat"], ["x", "--out", str(tmp_path), "--rounds", "9"])
    assert "SplatConfig(rounds=…)" in error.value.do


def test_unknown_names_offer_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["spalt"])
    assert "did you mean `splat`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["splat", "x", "--out", "y", "--backend", "gsplt"])
    assert "did you mean `gsplat`" in capsys.readouterr().err


@pytest.mark.parametrize("stage", METHODS)
def test_a_method_and_its_entry_name_the_same_config(stage):
    for entry in METHODS[stage].entries.values():
        method = entry.load_unchecked()
        assert (method.stage, method.name) == (stage, entry.name)
        assert method.config_type is entry.config_type()


def test_the_parser_takes_every_argument_of_the_function():
    for command in COMMANDS.values():
        function = parser.imported(command.function)
        taken = set(parser.arguments_of(command, function))
        known = set(inspect.signature(function).parameters)
        assert known - taken <= {"reporter", "method", *command.hidden}, command.name
