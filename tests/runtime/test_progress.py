"""The progress line: a line now and then in a file, one that is rewritten on a terminal."""

import io
import math
from types import SimpleNamespace

import pytest

from idf_helpers.runtime import progress
from idf_helpers.runtime.progress import Line, Reporter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the line believes in; a test moves them."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_file_gets_a_line_now_and_then_and_the_end_once(clock):
    out = io.StringIO()
    line = Line(out)
    for second in range(25):
        clock[0] = float(second)
        line.step("training", second / 24, f"{second} iterations")
    line.step("training", 1.0, "again")
    assert out.getvalue().splitlines() == [
        "  training:   0 %  0 iterations", "  training:  42 %  10 iterations",
        "  training:  83 %  20 iterations", "  training: 100 %  24 iterations"]
    line.step("writing", 1.0)
    line.step("training", 0.0)  # a step of the same name may come again
    assert out.getvalue().splitlines()[-2:] == ["  writing: 100 %", "  training:   0 %"]


def test_training_says_what_is_known_and_nothing_else(clock):
    """graphdeco's trainer tells neither PSNR nor how many Gaussians there are."""
    out = io.StringIO()
    for psnr, size, loss in ((21.04, "300 Gaussians", math.nan), (math.nan, "", 0.03112),
                             (math.nan, "", math.nan)):
        Line(out).training(SimpleNamespace(
            iteration=10, fraction=0.5, iterations_per_s=2.0, psnr_train=psnr, loss=loss,
            size=size, memory_mb=90.0))
    start = "  training:  50 %  10 iterations, 2.0 a second, "
    assert out.getvalue().splitlines() == [
        start + "21.0 dB, 300 Gaussians, 90 MB", start + "loss 0.0311, 90 MB", start + "90 MB"]


def test_a_terminal_shows_one_line_and_a_new_one_for_a_new_step(clock):
    out = Terminal()
    line = Line(out)
    line.step("swapping", 0.5, "long words of no use")
    clock[0] = 0.1
    line.step("swapping", 0.6)  # too soon
    clock[0] = 1.0
    line.step("swapping", 0.7)
    line.step("training", 0.0)
    line.close()
    first, second, end = out.getvalue().split("\n")
    assert first.split("\r")[1:] == ["  swapping:  50 %  long words of no use",
                                     "  swapping:  70 %".ljust(39)]
    assert second == "\r  training:   0 %" and end == ""


def test_stages_and_notes_go_to_people(capsys):
    line = Line(io.StringIO())
    line.stage("1/3 swap")
    line.note("no test split")
    assert capsys.readouterr().out == "1/3 swap\n  note: no test split\n"
    silent = Reporter()
    silent.stage("1/3 swap")
    silent.note("no test split")
    assert capsys.readouterr().out == ""
