"""Signs of life, a Stop button, and one line where a run ends early."""

import re
import threading
import time

import pytest

from idf_helpers.data.dataset import Dataset
from idf_helpers.notebook import bar, widgets
from idf_helpers.notebook.bar import Bar
from idf_helpers.notebook.training_panel import SplatPanel
from idf_helpers.notebook.widgets import Panel
from idf_helpers.runtime.progress import Remaining
from idf_helpers.runtime.runs import read_manifest
from tests.fixtures.datasets import make_dataset

pause = time.sleep


class Waits(Panel):
    """Works until it is told to end."""

    def __init__(self, reports=False):
        super().__init__()
        self.reports = reports
        self.begun, self.may_end, self.runs = threading.Event(), threading.Event(), 0

    def controls(self):
        return []

    def work(self):
        self.begun.set()
        while not self.may_end.is_set():
            time.sleep(0.005)
            if self.reports:
                self.step("waiting", 0.5)
        self.runs += 1
        return self.runs


def wait_for(condition):
    while not condition():
        time.sleep(0.005)


def test_the_time_that_remains():
    now = iter([0.0, 0.5, 10.0, 20.0, 21.0, 400.0]).__next__
    left = Remaining(now)
    assert left.words("a", 0.0) == "" and left.words("a", 0.1) == ""  # too early to say
    assert left.words("a", 0.25) == "about 30 s left"
    assert left.words("a", 1.0) == ""
    assert left.words("b", 0.5) == ""  # another step begins anew, wherever it begins
    assert left.words("b", 0.75) == "about 6 min left"


@pytest.mark.parametrize("reports", [True, False])
def test_the_button_leaves_the_kernel_free_and_stop_ends_it_in_one_line(reports, monkeypatch):
    monkeypatch.setattr(bar, "BEAT_S", 0.01)
    monkeypatch.setattr(widgets, "SILENT_S", 1e9 if reports else 0.0)  # who ends it
    panel = Waits(reports)
    panel.start()
    panel.begun.wait()
    assert panel.busy and panel.button.disabled
    assert panel.stop_button.layout.visibility == "visible"
    panel.stop_button.click()
    wait_for(lambda: not panel.busy)
    assert panel.goes_on in panel.status.value and panel.runs == 0
    assert not panel.button.disabled and panel.stop_button.layout.visibility == "hidden"
    panel.stop_button.click()  # a click that waited in the queue ends nothing
    panel.may_end.set()
    panel.start()
    wait_for(lambda: not panel.busy)
    assert panel.runs == 1 and panel.bar.value == 1.0


def test_a_cell_waits_for_the_run_of_the_button():
    panel = Waits()
    panel.start()
    panel.begun.wait()
    threading.Timer(0.05, panel.may_end.set).start()
    assert panel.run() == 2  # the button's was the first


def test_a_button_that_is_heard_while_a_cell_runs_comes_after_it():
    """A kernel with subshells answers a click while a cell runs."""
    panel, inside = Waits(), []
    work = panel.work

    def counted():
        inside.append("in")
        try:
            return work()
        finally:
            inside.append("out")

    panel.work = counted
    cell = threading.Thread(target=panel.run)
    cell.start()
    panel.begun.wait()
    panel.start()
    wait_for(lambda: panel.button.disabled)
    pause(0.05)  # time to do it wrongly
    panel.may_end.set()
    cell.join()
    wait_for(lambda: not panel.busy)
    assert panel.runs == 2 and inside == ["in", "out", "in", "out"]


def test_a_second_stop_leaves_alone_what_keeps_the_state():
    panel, kept = Waits(reports=True), []
    work, ending = panel.work, threading.Event()

    def keeps():
        try:
            work()
        except KeyboardInterrupt:
            ending.set()
            panel.may_end.wait()
            panel.stage("keeping the state")
            kept.append(True)
            raise

    panel.work = keeps
    panel.start()
    panel.begun.wait()
    panel.stop()
    ending.wait()
    panel.stop()
    panel.may_end.set()
    wait_for(lambda: not panel.busy)
    assert kept and panel.goes_on in panel.status.value


def test_a_stop_that_came_too_late_does_not_end_the_next_cell():
    panel = Waits()
    panel.start()
    panel.begun.wait()
    panel.stop()
    panel.may_end.set()
    wait_for(lambda: not panel.busy)
    assert panel.runs == 1
    panel.work = lambda: panel.step("reading back", 0.5) or "done"
    assert panel.run() == "done"


def test_an_error_after_the_run_is_told(monkeypatch):
    def broken():
        raise OSError("no picture")

    monkeypatch.setattr(widgets, "refresh_stills", broken)
    panel = Waits()
    panel.may_end.set()
    panel.start()
    wait_for(lambda: not panel.busy)
    assert "no picture" in panel.status.value and not panel.button.disabled


def test_a_stop_of_the_waiting_cell_stops_the_run_of_the_button(monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    panel = Waits(reports=True)
    panel.start()
    panel.begun.wait()
    with monkeypatch.context() as patched:
        patched.setattr(widgets, "WAIT_S", None)
        patched.setattr(widgets.time, "sleep", lambda s: interrupted(s) if s is None else pause(s))
        with pytest.raises(KeyboardInterrupt):
            panel.run()
    wait_for(lambda: not panel.busy)
    assert panel.goes_on in panel.status.value and panel.runs == 0


def test_in_a_notebook_the_button_takes_a_thread(monkeypatch):
    monkeypatch.setattr("idf_helpers.notebook.widgets.in_kernel", lambda: True)
    panel = Waits()
    panel.button.click()
    panel.begun.wait()
    assert panel.busy
    panel.may_end.set()
    wait_for(lambda: not panel.busy)


def test_a_step_that_says_nothing_is_seen_to_go_on(monkeypatch):
    monkeypatch.setattr(bar, "BEAT_S", 0.01)
    monkeypatch.setattr(bar, "QUIET_S", -1.0)
    panel = Waits()
    panel.start()
    wait_for(lambda: re.search(r"starting … · \d+ s", panel.status.value))
    panel.may_end.set()
    wait_for(lambda: not panel.busy)
    assert "·" not in panel.status.value


def test_a_stopped_training_goes_on_from_where_it_was(tmp_path):
    data = Dataset.open(make_dataset(tmp_path / "data", size=(32, 32)))
    panel = SplatPanel(data, out=tmp_path / "runs", iterations=10_000, resolution=64)
    panel.start()
    wait_for(lambda: len(panel._points if hasattr(panel, "_points") else ()) > 1)
    panel.stop()
    wait_for(lambda: not panel.busy)
    assert panel.goes_on in panel.status.value
    assert read_manifest(panel.folder)["status"] == "interrupted"
    assert list((panel.folder / "checkpoints").glob("step_*.npz"))


def test_what_follows_a_panel_is_made_anew_where_the_result_changed():
    panel = Waits()
    panel.may_end.set()
    panel.result_key = lambda: panel.runs // 2
    shown = []
    panel.follow("picture", lambda: shown.append(panel.runs))
    panel.follow("picture", lambda: shown.append(-panel.runs))  # the cell ran again: once only
    panel.run()
    assert shown == []
    panel.run()
    assert shown == [-2]


def test_a_bar_in_a_cell_says_how_it_ended(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: Handle(shown))
    with Bar("writing") as line:
        line.step("page", 0.5)
        line.note("odd < strange")
    assert any("page … 50 %" in s and "<progress" in s for s in shown)
    assert re.search(r"writing: \d+ s", shown[-1]) and "odd &lt; strange" in shown[-1]
    with pytest.raises(KeyboardInterrupt), Bar("writing"):
        raise KeyboardInterrupt
    assert "stopped; run the cell again" in shown[-1]


class Handle:
    def __init__(self, shown):
        self.shown = shown

    def update(self, html):
        self.shown.append(html.data)
