"""Stop in a real kernel: the button's run and a cell's, each told in one line."""

import threading
import time

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """import time
from idf_helpers.notebook import Bar, begin
from idf_helpers.notebook.widgets import Panel
begin("runs")
class Waits(Panel):
    def controls(self): return []
    def work(self):
        while True:
            time.sleep(0.01)
            self.step("waiting", 0.5)
panel = Waits()
panel"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    manager, client = start_new_kernel(cwd=str(tmp_path_factory.mktemp("kernel")))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(kernel, code: str, stop: bool = False) -> list:
    """What a cell prints, and the traceback of its error; stopped once it says so."""
    manager, client = kernel
    told = []

    def take(message):
        content = message["content"]
        if message["msg_type"] == "stream":
            told.append(content["text"])
            if stop and "now" in content["text"]:
                threading.Timer(0.2, manager.interrupt_kernel).start()
        elif message["msg_type"] == "error":
            told.append(content["traceback"])

    client.execute_interactive(code, output_hook=take, timeout=60)
    return told


def test_stop_of_a_cell_and_of_the_button(kernel):
    assert run(kernel, SETUP) == []
    now, lines = run(kernel, "print('now', flush=True); panel.run()", stop=True)
    assert len(lines) == 1 and "run this cell again" in lines[0]
    now, lines = run(kernel, "with Bar('long'):\n    print('now', flush=True)\n    time.sleep(60)",
                     stop=True)
    assert len(lines) == 1
    assert run(kernel, "panel.button.click(); print(panel.busy)") == ["True\n"]
    assert run(kernel, "panel.stop_button.click()") == []
    for _ in range(100):
        if run(kernel, "print(panel.busy, panel.goes_on in panel.status.value)") == [
                "False True\n"]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the button's run goes on")
    assert run(kernel, "print('fine')") == ["fine\n"]
