"""Where results go: Drive is mounted before anything is written; Stop is one line."""

import subprocess
import sys
import types

import pytest
from IPython.core.interactiveshell import InteractiveShell

from idf_helpers import IdfError
from idf_helpers.data import inputs, samples
from idf_helpers.notebook import session
from idf_helpers.notebook.comparison import compare_methods
from idf_helpers.notebook.default_inputs import talking_frames
from idf_helpers.notebook.input_panel import InputPanel
from idf_helpers.notebook.session import STOPPED, begin
from idf_helpers.notebook.stylize_panel import StylizePanel
from idf_helpers.notebook.swap_panel import SwapPanel
from idf_helpers.notebook.training_panel import SplatPanel
from idf_helpers.notebook.video_panel import swap_clip


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """Colab's Drive: mounting needs an empty place, as the real one does."""
    place, mounts = tmp_path / "drive", []

    def mount(where):
        if place.exists() and any(place.iterdir()):
            raise ValueError("Mountpoint must not already contain files")
        (place / "MyDrive").mkdir(parents=True)
        mounts.append(where)

    google, module = types.ModuleType("google"), types.ModuleType("google.colab")
    google.colab, module.drive = module, types.SimpleNamespace(mount=mount)
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(inputs.os.path, "ismount", lambda path: bool(mounts))
    for home in (inputs, session):
        monkeypatch.setattr(home, "DRIVE", str(place))
    monkeypatch.setattr(session, "ON_DRIVE", f"{place}/MyDrive")
    monkeypatch.delenv("IDF_RUNS", raising=False)
    return place, mounts


def test_a_folder_on_drive_is_mounted_once_and_first(colab, capsys):
    place, mounts = colab
    runs = begin(f"{place}/MyDrive/x")
    assert runs == f"{place}/MyDrive/x" and mounts == [str(place)]
    SplatPanel(samples.dataset("head_turntable"), out=runs)
    assert begin("runs", keep_on_drive=True) == f"{place}/MyDrive/runs"
    assert len(mounts) == 1 and capsys.readouterr().out == ""


def test_without_drive_a_warning_says_what_becomes_of_the_results(colab, capsys):
    assert begin("runs") == "runs" and "KEEP_ON_DRIVE" in capsys.readouterr().out
    assert colab[1] == []


@pytest.mark.parametrize("use", [
    lambda out: SplatPanel(samples.dataset("head_turntable"), out=out),
    lambda out: StylizePanel(samples.dataset("head_turntable"), out),
    lambda out: SwapPanel(out=out), lambda out: InputPanel("views", out),
    lambda out: talking_frames(runs=out),
    lambda out: compare_methods(samples.dataset("head_turntable"), out, ["splats:none"], None),
    lambda out: swap_clip("none.mp4", "B", out)],
    ids=["train", "stylize", "swap", "input", "talking", "compare", "video"])
def test_whatever_writes_mounts_drive_by_itself(colab, use):
    place, mounts = colab
    try:
        use(f"{place}/MyDrive/x")
    except IdfError:
        pass  # no such video, no such method: after the mount
    assert mounts == [str(place)]


def test_a_drive_that_cannot_be_mounted_is_told_in_three_parts(colab):
    place, _ = colab
    (place / "MyDrive" / "x").mkdir(parents=True)  # made before, by mistake
    with pytest.raises(IdfError, match="could not be mounted") as told:
        begin(f"{place}/MyDrive/x")
    assert "must not already contain" in told.value.found and told.value.do


def test_elsewhere_the_choice_of_drive_is_answered(monkeypatch, capsys):
    monkeypatch.delenv("IDF_RUNS", raising=False)
    assert begin("runs", keep_on_drive=True) == "runs"
    assert "on Colab only" in capsys.readouterr().out
    monkeypatch.setenv("IDF_RUNS", "elsewhere")
    assert begin("runs") == "elsewhere"


def test_a_stopped_cell_ends_in_one_line(monkeypatch):
    shell, shown = InteractiveShell(), []
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(shell, "_showtraceback", lambda kind, error, lines: shown.append(lines))
    session.stop_in_one_line()
    result = shell.run_cell("def deep(n):\n    if n == 0: raise KeyboardInterrupt\n"
                            "    deep(n - 1)\ndeep(30)")
    assert shown == [[STOPPED]] and isinstance(result.error_in_exec, KeyboardInterrupt)
    shell.run_cell("1 / 0")  # a bug keeps its traceback
    assert any("ZeroDivisionError" in line for line in shown[-1]) and len(shown[-1]) > 1


def test_the_first_cells_do_not_wait_for_the_library():
    """What takes seconds to import is imported by `begin`, behind a bar."""
    code = ("import sys; from idf_helpers.notebook import begin, pipeline; begin('runs'); "
            "print([m for m in ('numba', 'torch', 'ipywidgets') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_library_is_loaded_behind_a_bar(monkeypatch):
    said = []
    monkeypatch.setattr("IPython.get_ipython", InteractiveShell)
    monkeypatch.setattr(session, "HEAVY", "wave")  # a module of Python's own that nobody imports
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(session.Bar, "write", lambda self, text, color="": said.append(text))
    session.load()
    assert "wave" in sys.modules and said[0] == "loading the library …"
    session.load()
    assert len(said) == 2  # the second time nothing has to be loaded
