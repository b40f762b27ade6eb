"""An executed notebook as a page: text, code, and its outputs as files beside it."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from .markdown import heading_of, to_html

WIDGET = "application/vnd.jupyter.widget-view+json"
LARGE = 150_000  # bytes; a PNG above that becomes a WebP
DATA = re.compile(r"data:((?:image|video)/[\w.+-]+);base64,([A-Za-z0-9+/=\s]+)")
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg", "image/gif": ".gif",
            "image/webp": ".webp", "video/mp4": ".mp4"}
XMP = "XML:com.adobe.xmp"


def code_style() -> str:
    """Return the colors of code, on a light and on a dark page."""
    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


class NotebookPage:
    """The page of one notebook; its pictures and videos go to `media/` in the site.

    folders: what of this machine is written otherwise, such as its home.
    `title`, `body`; for the index `first_words`, and `best_picture` with `best_alt`: the widest
    picture of the first half, or else the first one.
    """

    def __init__(self, book, name: str, out: Path, link: Callable[[str], str],
                 folders: dict[str, str] | None = None):
        self.name, self.out, self.link, self.folders = name, out, link, folders or {}
        self.count, self.heading, self._chart = 0, "", False
        self.best_picture, self.best_alt, self._best = "", "", 0
        texts = ["".join(c.source) for c in book.cells if c.cell_type == "markdown"]
        self.title = heading_of(texts[0]) if texts else name
        self.first_words = _plain(texts[0]) if texts else ""
        self._cells = len(book.cells)
        self.body = "\n".join(self._cell(i, cell) for i, cell in enumerate(book.cells))

    def _cell(self, i: int, cell) -> str:
        source = "".join(cell.source)
        if cell.cell_type == "markdown":
            heads = re.findall(r"^#+ (.+)$", source, re.MULTILINE)
            self.heading = re.sub(r"[*`]", "", heads[-1]) if heads else self.heading
            return to_html(source, self.link, lambda url: self._attached(url, cell))
        if cell.cell_type != "code" or not source.strip():
            return ""
        folded = cell.metadata.get("cellView") == "form" or cell.metadata.get(
            "jupyter", {}).get("source_hidden")
        shown = highlight(source, PythonLexer(), HtmlFormatter(cssclass="code"))
        title = (re.match(r"#\s*@title\s*(.*)", source) or [None, "Code"])[1]
        code = (f"<details><summary>{html.escape(title)}</summary>{shown}</details>" if folded
                else shown)
        self._chart = "chart" in source
        outputs = "".join(self._output(o, early=i < self._cells / 2) for o in cell.outputs)
        return f'{code}<div class="out">{outputs}</div>' if outputs else code

    def _output(self, output, early: bool) -> str:
        if output.output_type == "stream":
            text = self._elsewhere(_last_state("".join(output.text)).strip("\n"))
            return f"<pre>{html.escape(text)}</pre>" if text.strip() else ""
        if output.output_type == "error":
            text = html.escape(f"{output.ename}: {output.evalue}")
            return f'<pre class="error">{text}</pre>'
        data, about = output.data, output.get("metadata", {})
        if WIDGET in data and "image/jpeg" not in data:
            return ""  # a still follows
        for kind in ("image/svg+xml", "image/png", "image/jpeg", "image/gif"):
            if kind in data:
                content = "".join(data[kind])
                content = content.encode() if "svg" in kind else base64.b64decode(content)
                alt = (about.get(kind) or {}).get("alt") or about.get("alt") or ""
                return self._picture(content, kind, alt or self._words(), early)
        if "text/html" in data:
            return self._html(self._elsewhere("".join(data["text/html"])))
        if "text/markdown" in data:
            return to_html("".join(data["text/markdown"]), self.link, lambda url: url)
        text = self._elsewhere("".join(data.get("text/plain", "")))
        return f"<pre>{html.escape(text)}</pre>" if text and not re.match(r"<[\w.]+.*>$", text) \
            else ""

    def _elsewhere(self, text: str) -> str:
        """Return a text without the folders of the machine that ran the notebook."""
        for folder, words in self.folders.items():
            text = text.replace(folder, words)
        return text

    def _words(self) -> str:
        return f"Result in the section “{self.heading}”"

    def _picture(self, content: bytes, kind: str, alt: str, early: bool) -> str:
        address, width = self._file(content, kind)
        # not the diagram that all notebooks have, above their sections, and no chart
        if self.heading != self.title and not self._chart \
                and (width if early else 1) > self._best:
            self.best_picture, self.best_alt, self._best = address, alt, width if early else 1
        size = f' width="{width}"' if width else ""
        return f'<img src="{address}" alt="{html.escape(alt)}"{size} loading="lazy">'

    def _file(self, content: bytes, kind: str) -> tuple[str, int]:
        """Write a picture or video; return its address and, of a picture, its width in pixels."""
        self.count += 1
        width, suffix = 0, SUFFIXES.get(kind, ".bin")
        if suffix in (".png", ".jpg", ".webp"):
            picture = Image.open(io.BytesIO(content))
            width = picture.width
            if suffix == ".png" and len(content) > LARGE:
                packed, xmp = io.BytesIO(), picture.info.get(XMP, "")
                picture.save(packed, "WEBP", quality=88, method=4,
                             **({"xmp": xmp.encode()} if xmp else {}))
                content, suffix = packed.getvalue(), ".webp"
        media = self.out / "media"
        media.mkdir(exist_ok=True)
        address = f"media/{self.name}_{self.count:02d}{suffix}"
        (self.out / address).write_bytes(content)
        return address, width

    def _html(self, text: str) -> str:
        """Return an output's HTML without what only lives in a notebook."""
        text = re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        text = re.sub(r"<a [^>]*\bdownload[^>]*>(.*?)</a>", r"<b>\1</b>", text, flags=re.DOTALL)
        text = DATA.sub(lambda found: self._file(base64.b64decode(found[2]), found[1])[0], text)
        text = re.sub(r"<img (?![^>]*\balt=)", f'<img alt="{html.escape(self._words())}" ', text)
        text = re.sub(r"(?s)<table\b.*?</table>", r'<div class="wide">\g<0></div>', text)
        return f'<div class="html">{text}</div>' if text.strip() else ""

    def _attached(self, url: str, cell) -> str:
        """Write a picture that a Markdown cell shows; return its address."""
        if url.startswith("attachment:"):
            (kind, content), = cell.attachments[url.removeprefix("attachment:")].items()
            return self._file(base64.b64decode(content), kind)[0]
        found = DATA.match(url)
        return self._file(base64.b64decode(found[2]), found[1])[0] if found else url


def _last_state(text: str) -> str:
    """Return what a terminal would show: of lines that were written over, the last."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _plain(text: str) -> str:
    """Return the sentence that says what a notebook gives, or the first one, as plain words."""
    blocks = re.split(r"\n\s*\n", text)[1:]
    for block in sorted(blocks, key=lambda block: "**What you get**" not in block):
        if block.strip() and not re.match(r"\s*[\[!#|<]", block):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"[*`]", "", block))
            words = " ".join(words.split()).removeprefix("What you get: ")
            first = re.split(r"[.;](?= |$)", words)[0]
            return f"{first[:1].upper()}{first[1:220]}."
    return ""
