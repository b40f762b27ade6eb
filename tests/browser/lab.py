"""A JupyterLab of its own on a free port, and a page in it that is used as a person would."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 60
SETTINGS = {  # else a kernel chooser and a question about news lie over the page
    "@jupyterlab/notebook-extension:tracker":
        {"autoStartDefaultKernel": True, "windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification":
        {"fetchNews": "false", "checkForUpdates": False},
}


class Server:
    def __init__(self, url: str, token: str, process: subprocess.Popen, log: Path):
        self.url, self.token, self.process, self.log = url, token, process, log

    def wait(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/api?token={self.token}", timeout=5).close()
                return
            time.sleep(0.1)
        raise RuntimeError("JupyterLab did not start:\n" + self.log.read_text()[-2000:])


@contextlib.contextmanager
def server(folder: Path, environment: dict[str, str]):
    """JupyterLab over a copy of the notebooks in `folder`/tree; ends with its kernels."""
    shutil.copytree(ROOT / "notebooks", folder / "tree" / "notebooks",
                    ignore=lambda _, names: [n for n in names if not n.endswith(".ipynb")])
    (folder / "settings").mkdir()
    (folder / "settings" / "overrides.json").write_text(json.dumps(SETTINGS))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    token, log = secrets.token_hex(16), folder / "server.log"
    # nothing of the user's own Jupyter settings, kernels and workspaces is read or written
    own = {f"JUPYTER_{k}_DIR": str(folder / k.lower()) for k in ("CONFIG", "DATA", "RUNTIME")}
    own |= {f"JUPYTERLAB_{k}_DIR": str(folder / k.lower()) for k in ("SETTINGS", "WORKSPACES")}
    own["JUPYTERLAB_SETTINGS_DIR"] = str(folder / "user-settings")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with open(log, "w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
             f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
             f"--ServerApp.root_dir={folder / 'tree'}", "--expose-app-in-browser",
             f"--LabApp.app_settings_dir={folder / 'settings'}"],
            env={**os.environ, **own, "PYTHONPATH": path, **environment},
            cwd=folder, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    running = Server(f"http://127.0.0.1:{port}", token, process, log)
    try:
        running.wait()
        yield running
    finally:
        with contextlib.suppress(OSError):  # the server's own way out ends its kernels everywhere
            urllib.request.urlopen(urllib.request.Request(
                f"{running.url}/api/shutdown?token={token}", method="POST"), timeout=5).close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_notebook(lab: Server, name: str, cells: list[str]) -> None:
    """A notebook of code cells beside the others."""
    book = {"cells": [{"cell_type": "code", "id": f"c{i}", "source": source, "metadata": {},
                       "outputs": [], "execution_count": None} for i, source in enumerate(cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3",
                                        "language": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    (lab.log.parent / "tree" / "notebooks" / f"{name}.ipynb").write_text(json.dumps(book))


class Notebook:
    """A notebook that is open in Lab. `requests`: what was asked of other machines (refused)."""

    def __init__(self, browser, lab: Server, name: str):
        self.context = browser.new_context(viewport={"width": 1300, "height": 1000},
                                           reduced_motion="reduce", accept_downloads=True)
        self.requests = []
        self.context.route(lambda url: not url.startswith((lab.url, "data:", "blob:")),
                           self._refuse)
        self.page = self.context.new_page()
        self.page.goto(f"{lab.url}/doc/tree/notebooks/{name}.ipynb?token={lab.token}")
        # Lab's own indicator says "idle" before there is a connection, and loses what is run then
        self.page.wait_for_function(
            "() => { const s = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;"
            " const k = s?.isReady && s.session?.kernel;"
            " return k && k.connectionStatus === 'connected' && k.status === 'idle'; }",
            timeout=60_000)

    def _refuse(self, route) -> None:
        self.requests.append(route.request.url)
        route.abort()

    def run_all(self, seconds: float = 120) -> None:
        """Run → Run All Cells, until each code cell has a number or one has failed."""
        self.page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
        self.page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
        self.page.wait_for_function(
            "() => document.querySelector('.jp-RenderedText[data-mime-type*=stderr],"
            " .jp-OutputArea-output[data-mime-type*=error]') ||"
            " window.jupyterapp.shell.currentWidget.content.widgets.every(c =>"  # folded ones, too
            " c.model.type !== 'code' || c.model.executionCount)", timeout=seconds * 1000)

    def errors(self) -> list[str]:
        """Error outputs and what went to stderr."""
        found = self.page.locator(".jp-OutputArea-output").filter(has=self.page.locator(
            "xpath=self::*[contains(@data-mime-type, 'stderr') or"
            " contains(@data-mime-type, 'error')]"))
        return found.all_inner_texts()

    def cell(self, source: str):
        """The code cell whose source has this text."""
        return self.page.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea", has_text=source)).first

    def run_cell(self, source: str) -> None:
        self.cell(source).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def field(self, label: str):
        """The text field with this label in front of it."""
        return self.page.locator(".widget-inline-hbox").filter(
            has=self.page.locator("label", has_text=label)).locator("input, textarea").first

    def button(self, text: str):
        return self.page.locator("button.jupyter-button", has_text=text)

    def wait_text(self, place, pattern: str, seconds: float = 60) -> str:
        """Waits until the text of `place` matches, and returns it."""
        from playwright.sync_api import expect

        expect(place).to_have_text(re.compile(pattern, re.DOTALL), timeout=seconds * 1000)
        return place.inner_text()


@contextlib.contextmanager
def opened(browser, lab: Server, name: str):
    book = Notebook(browser, lab, name)
    try:
        yield book
    finally:
        book.context.close()
