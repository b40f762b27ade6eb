"""A newcomer's walk through the notebooks: JupyterLab, Chromium, Run All, and what was met.

    python benchmarks/notebook_walk.py [--real] [--books 04 01 03 02 05] [--rounds 2] [--keep DIR]

All notebooks write into one folder, in an order that is not theirs: 04 leaves a swap of a talking
head before 02 and 03 look for one that keeps still. The second round is made in new kernels. Each
notebook is saved, opened again without a kernel, and looked at. The table says for each: how long
it ran, when the first picture of it came, the longest time in which nothing on the page changed
while something ran, and in which cell; what went to stderr, which outputs are errors, and which
widgets a saved notebook shows as an error; what the notebook said that it works on. Exit code 1
where an error, an error of a widget, or a wait of more than 3 seconds was met, or 02 and 03 work
on anything but a head that keeps still, or 04 on anything but a talking one.

--real takes the budgets that the notebooks come with (half an hour on two cores), else IDF_FAST.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from idf_helpers.cli.doctor import find_chromium
from idf_helpers.runtime.tables import Table
from tests.browser import lab
from tests.browser.conftest import FLAGS

MOST_QUIET_S = 3.0
ORDER = ["04", "01", "03", "02", "05"]
# Changes within cells count as a sign; the browser's clock, looked at four times a second.
WATCH = """() => {
  const cells = () => [...document.querySelectorAll('.jp-CodeCell')];
  const running = () => cells().find(c => c.querySelector('.jp-InputPrompt')?.textContent
    .includes('[*]'));
  const walk = window.walk = {began: performance.now(), last: performance.now(), worst: 0,
    where: '', first: null, waits: []};
  const sign = () => {
    const now = performance.now(), gap = (now - walk.last) / 1000, cell = walk.cell;
    if (gap > 2 && cell) walk.waits.push([+gap.toFixed(1), cell]);
    if (gap > walk.worst && cell) { walk.worst = gap; walk.where = cell; }
    walk.last = now;
    if (walk.first === null && document.querySelector(
        '.jp-OutputArea img[src^="data:"], .jp-OutputArea img.widget-image[src^="blob:"]'))
      walk.first = (now - walk.began) / 1000;
  };
  new MutationObserver(list => {
    if (list.some(m => (m.target.nodeType === 1 ? m.target : m.target.parentElement)
        ?.closest('.jp-Cell-outputArea, .jp-InputPrompt'))) sign();
  }).observe(document.body, {subtree: true, childList: true, attributes: true,
    characterData: true});
  setInterval(() => {
    const cell = running()?.querySelector('.jp-InputArea-editor')?.innerText.trim().split('\\n')
      .filter(l => !/^(#|import|from|$)/.test(l.trim()))[0] || '';
    if (!cell) walk.last = performance.now();
    walk.cell = cell;
  }, 250);
}"""


def walk_through(browser, server, name: str, seconds: float) -> dict:
    """Run one notebook from the top, save it, and open it again; return a row."""
    with lab.opened(browser, server, name) as book:
        book.page.evaluate(WATCH)
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            book.run_all(seconds)
        took = time.monotonic() - began
        found = book.page.evaluate("() => window.walk")
        errors = [" ".join(e.split())[:200] for e in book.errors()]
        on = book.page.evaluate(
            "() => [...document.querySelectorAll('.widget-html-content b')].map(e => e.innerText)")
        book.page.keyboard.press("Control+s")
        book.page.wait_for_timeout(3000)
        book.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext"
                           ".shutdown()")
    page = browser.new_context(viewport={"width": 1300, "height": 1000}).new_page()
    page.goto(f"{server.url}/doc/tree/notebooks/{name}.ipynb?token={server.token}")
    page.locator(".jp-CodeCell").first.wait_for()
    page.wait_for_timeout(8000)  # a widget's end is shown late
    dead = page.evaluate(
        "() => [...document.querySelectorAll('.jp-OutputArea-child')].filter(e => "
        "e.offsetParent !== null && /Error displaying widget|Loading widget/.test(e.innerText))"
        ".length")
    pictures = page.locator(".jp-OutputArea img:visible").count()
    page.context.close()
    return {"notebook": name, "seconds": round(took), "first picture, s": found["first"] and round(
        found["first"], 1), "longest wait, s": round(found["worst"], 1), "in": found["where"][:60],
        "errors": "; ".join(errors), "dead widgets": dead, "pictures when reopened": pictures,
        "works on": "; ".join(on)[:90], "waits": found["waits"]}


def faults(row: dict) -> list[str]:
    """Return what is wrong with a walk through one notebook."""
    kind, on = row["notebook"][:2], row["works on"]
    wrong = [f"stderr or an error: {row['errors']}"] if row["errors"] else []
    if row["dead widgets"]:
        wrong.append(f"{row['dead widgets']} widgets are errors when it is opened again")
    wrong += [f"{s} s without a sign in: {cell}" for s, cell in row["waits"] if s > MOST_QUIET_S]
    if kind in ("02", "03") and ("talking" in on or not on):
        wrong.append(f"works on {on or 'nothing that it names'}")
    if kind == "04" and "talking" not in on:
        wrong.append(f"works on {on or 'nothing that it names'}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--books", nargs="+", default=ORDER)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    names = {p.stem[:2]: p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    environment = {"IDF_RUNS": "runs"} | ({} if options.real else {"IDF_FAST": "1"})
    folder = options.keep or Path(tempfile.mkdtemp(prefix="idf-walk-"))
    folder.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], []
    if options.real:
        os.environ.pop("IDF_FAST", None)
    with lab.server(folder, environment) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for n in range(options.rounds):
            for key in options.books:
                row = walk_through(browser, server, names[key], 3600 if options.real else 600)
                rows.append({"round": n + 1, **{k: v for k, v in row.items() if k != "waits"}})
                print(rows[-1], flush=True)
                for fault in faults(row):
                    wrong.append(f"round {n + 1}, {row['notebook']}: {fault}")
                    print("  " + wrong[-1], flush=True)
        browser.close()
    print(Table(rows))
    print("\n".join(wrong) or "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
