"""Markdown of the repository and of notebooks as HTML: GitHub's headings, tables, MathML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

import mistune
from latex2mathml.converter import convert

CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?![\d$])", re.DOTALL)
KEPT = "\x02{}\x03"  # stands for a formula while the rest is made HTML


def slug(words: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", html.unescape(re.sub(r"<[^>]+>", "", words)).lower()).replace(
        " ", "-")


class Page(mistune.HTMLRenderer):
    """Headings have anchors, links and pictures are led to where they are on the site."""

    def __init__(self, link: Callable[[str], str], picture: Callable[[str], str]):
        super().__init__(escape=False)
        self.lead, self.picture = link, picture

    def heading(self, text: str, level: int, **attrs) -> str:
        return f'<h{level} id="{slug(text)}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title=None) -> str:
        return super().link(text, self.lead(url), title)

    def image(self, text: str, url: str, title=None) -> str:
        if re.match(r"https?:", url):  # a badge: its words need no network
            return f"<span>{html.escape(text)}</span>"
        return (f'<img src="{html.escape(self.picture(url))}" alt="{html.escape(text)}" '
                'loading="lazy">')


def to_html(text: str, link: Callable[[str], str], picture: Callable[[str], str]) -> str:
    """Return the HTML of a page's Markdown.

    link, picture: return where an address leads, and where a picture is, on the site.
    """
    formulas: list[str] = []

    def keep(found) -> str:
        block = found.group(1)
        formulas.append(convert((block or found.group(2)).strip(),
                                display="block" if block else "inline"))
        return KEPT.format(len(formulas) - 1)

    parts = CODE.split(text)
    parts[::2] = [MATH.sub(keep, part) for part in parts[::2]]
    page = mistune.create_markdown(renderer=Page(link, picture),
                                   plugins=["table", "strikethrough", "url"])("".join(parts))
    page = re.sub(r"<table>.*?</table>", r'<div class="wide">\g<0></div>', page, flags=re.DOTALL)
    return re.sub("\x02(\\d+)\x03", lambda n: formulas[int(n.group(1))], page)


def heading_of(text: str) -> str:
    """Return the first heading of a page, without marks of Markdown."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return re.sub(r"[*`]", "", found.group(1)) if found else ""
