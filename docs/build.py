"""The site: the five executed notebooks and the pages of docs/ as small HTML pages.

    python run.py docs [OUT] [--executed FOLDER]

OUT is the folder of the site (default: .venv/site). Notebooks run in their order with one folder of
runs, at their full budgets unless IDF_FAST=1; FOLDER (default: beside OUT) keeps them as they were
executed, and those that are there are not run again. Pages need no network and no script.
"""

import argparse
import html
import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template

import nbformat

if __package__ in (None, ""):  # called by its path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from docs.site.markdown import heading_of, to_html
from docs.site.notebook import NotebookPage, code_style

ROOT = Path(__file__).resolve().parent.parent
SITE = Path(__file__).resolve().parent / "site"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "docs").glob("*.md"))
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"]
LARGEST = 40e6  # bytes of the whole site
LIVE = {"02_gaussian_splatting": ("head.html", "Turn the head"),
        "04_nerface_4d": ("avatar.html", "Move the face")}  # pages that these notebooks export


@dataclass(frozen=True)
class Card:
    """What the index shows of a notebook."""

    page: str
    title: str
    text: str
    picture: str
    alt: str

    def image(self) -> str:
        """Return the picture as HTML; nothing where the notebook has none."""
        return (f'<img src="{self.picture}" alt="{html.escape(self.alt)}" loading="lazy">'
                if self.picture else "")


def execute(notebook: Path, kept: Path) -> nbformat.NotebookNode:
    """Return a notebook with its outputs: as kept from an earlier build, else run now."""
    from nbclient import NotebookClient

    file = kept / notebook.name
    if not file.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        print(f"running {notebook.name}", flush=True)
        os.environ.update(IDF_RUNS=str(kept / "runs"), PYTHONPATH=str(ROOT))
        book = nbformat.read(notebook, as_version=4)
        NotebookClient(book, timeout=1800, kernel_name="python3",
                       resources={"metadata": {"path": str(notebook.parent)}}).execute()
        nbformat.write(book, file)
    return nbformat.read(file, as_version=4)


def link(folder: Path, target: str) -> str:
    """Return where a link of a file in `folder` leads on the site: to a page of it, else into the
    repository."""
    path, mark, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return target
    file = (folder / path).resolve()
    if file in PAGES or file in NOTEBOOKS:
        return page_name(file) + mark + anchor
    return f"{REPOSITORY}/blob/main/{file.relative_to(ROOT).as_posix()}{mark}{anchor}"


def page_name(file: Path) -> str:
    """Return the name of a file's page; the README of docs/ is the guide."""
    return "guide.html" if file.stem == "README" else f"{file.stem}.html"


def wrapped(title: str, body: str, here: str = "") -> str:
    """Return a whole page."""
    template = Template((SITE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), body=body, repository=REPOSITORY,
                               here=here, style=(SITE / "style.css").read_text(encoding="utf-8"),
                               code=code_style())


def write_notebook(book, name: str, out: Path, kept: Path) -> Card:
    """Write the page of an executed notebook with its pictures; return what the index shows."""
    page = NotebookPage(book, name, out, partial(link, ROOT / "notebooks"),
                        {str(kept / "runs"): "runs", str(ROOT): ".", str(Path.home()): "~"})
    live, words = LIVE.get(name, ("", ""))
    above = (f'<p class="live"><a href="{live}">{words}</a> in your browser: '
             f"the page that this notebook exports.</p>" if (out / live).is_file() and live else "")
    stems = [p.stem for p in NOTEBOOKS]
    at = stems.index(name) if name in stems else -1
    around = [f'<a href="{stems[k]}.html">{arrow}</a>' for k, arrow in
              ((at - 1, "← previous notebook"), (at + 1, "next notebook →"))
              if at >= 0 and 0 <= k < len(stems)]
    body = page.body.replace("</h1>", f"</h1>{above}", 1)
    body += f'<nav class="around">{" ".join(around)}</nav>'
    (out / f"{name}.html").write_text(wrapped(page.title, body), encoding="utf-8")
    return Card(f"{name}.html", page.title, page.first_words, page.best_picture, page.best_alt)


def write_docs(out: Path) -> None:
    """Write the pages of docs/*.md; its README becomes the guide's index."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        body = to_html(text, partial(link, path.parent), lambda source: copied(source, out))
        (out / page_name(path)).write_text(wrapped(heading_of(text), body), encoding="utf-8")


def copied(source: str, out: Path) -> str:
    """Copy a picture of the repository into the site and return its address there."""
    if re.match(r"https?:", source):
        return source
    file = (ROOT / "docs" / source).resolve()
    (out / "media").mkdir(exist_ok=True)
    shutil.copy(file, out / "media" / file.name)
    return f"media/{file.name}"


def write_index(cards: list[Card], out: Path) -> None:
    hero = copied("../assets/readme/hero.webp", out)
    live = "".join(f'<a class="button" href="{name}">{words}</a>' for name, words in LIVE.values()
                   if (out / name).is_file())
    listed = "".join(
        f'<a class="card" href="{c.page}">{c.image()}<b>{html.escape(c.title)}</b>'
        f"<span>{html.escape(c.text)}</span></a>" for c in cards)
    body = Template((SITE / "index.html").read_text(encoding="utf-8")).substitute(
        hero=hero, live=live, cards=listed, repository=REPOSITORY)
    (out / "index.html").write_text(wrapped("ImplicitDeepfake, rebuilt", body), encoding="utf-8")


def copy_live(runs: Path, out: Path) -> None:
    """Copy the newest page of a head and of an avatar that the notebooks exported."""
    for path in sorted(runs.rglob("*.html"), key=lambda p: p.stat().st_mtime):
        text = path.read_text(encoding="utf-8", errors="replace")
        if "synthetic, made with" in text:  # a page of ours, not another program's
            name = "avatar.html" if re.search(r'"rig":\s*\{', text) else "head.html"
            shutil.copy(path, out / name)


def build(out: Path, kept: Path) -> Path:
    """Write the whole site into `out` (made anew) and return it."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    books = {path.stem: execute(path, kept) for path in NOTEBOOKS}
    if (kept / "runs").is_dir():
        copy_live(kept / "runs", out)
    cards = [write_notebook(book, name, out, kept) for name, book in books.items()]
    write_docs(out)
    write_index(cards, out)
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    if size > LARGEST:
        raise SystemExit(f"The site has {size / 1e6:.0f} MB; it may have {LARGEST / 1e6:.0f}. Make "
                         "the notebooks' pictures smaller.")
    print(f"{out}/index.html: {len(list(out.glob('*.html')))} pages, {size / 1e6:.1f} MB")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / ".venv" / "site")
    parser.add_argument("--executed", type=Path, help="executed notebooks, kept or made here")
    args = parser.parse_args()
    build(args.out.resolve(), (args.executed or args.out.with_name("executed")).resolve())


if __name__ == "__main__":
    main()
