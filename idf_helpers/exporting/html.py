"""One self-contained page that shows splats in 3D: no network, no installation, opens from disk."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources
from pathlib import Path

from ..provenance.marks import LABEL
from ..provenance.watermark import carriers_text
from ..runtime.files import write_text
from .payload import ViewerPayload

# In the order in which they need each other.
MODULES = ("loading.js", "unpack.js", "blend.js", "watermark.js", "splat.js", "orbit.js", "face.js",
           "marks.js", "snapshot.js", "webm.js", "video.js", "timeline.js", "timeline_bar.js",
           "gaze.js", "paper.js", "link.js", "dialogs.js", "capture.js", "spoken.js", "shell.js")


def write_viewer(payload: ViewerPayload, path, *, title: str, label: str = LABEL, note: str = "",
                 watermark: int = 0) -> Path:
    """Write the page (one HTML file of about 60 bytes a Gaussian) and return its path.

    label: the visible mark in the corner, which no button hides; "" leaves it out.
    note: a line of small print under the title. watermark: payload that all pictures of the page
    carry imperceptibly, also in screenshots; 0 = none.
    Raises IdfError where the file cannot be written.
    """
    write_text(Path(path), viewer_html(payload, title=title, label=label, note=note,
                                      watermark=watermark))
    return Path(path)


def viewer_html(payload: ViewerPayload, *, title: str, label: str = LABEL, note: str = "",
                watermark: int = 0) -> str:
    """Return the page of `write_viewer` as text."""
    script, style = module_text(*MODULES, "address.js", "viewer.js"), _static("viewer.css")
    policy = ("default-src 'none'; script-src " + _digest(script) + "; style-src " + _digest(style)
              + "; img-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'")
    page = json.dumps(payload.page | {
        "rig": payload.rig, "watermark": carriers_text(watermark) if watermark else ""},
        allow_nan=False)
    rig = payload.rig or {"kind": ""}
    kind = {"": "", "face": "face ", "style": "face style "}[rig["kind"]] + \
        "light" * (payload.page["background"] == "white")
    return _filled(_static("viewer.html").replace("{{shell}}", _static("shell.html")), {
        "csp": policy, "kind": kind, "title": html.escape(title), "note": html.escape(note),
        "style": style, "script": script, "label": _label(label), "poster": payload.poster,
        "page": page.replace("<", "\\u003c"),
        "data": base64.b64encode(payload.data).decode("ascii")})


def cell_html(title: str, note: str, label: str, poster: str = "") -> str:
    """Return the inside of the page for a notebook's cell, escaped."""
    return _filled(_static("shell.html"), {"title": html.escape(title), "note": html.escape(note),
                                           "label": _label(label), "poster": poster})


def cell_module() -> str:
    """Return the widget's ES module, with its style."""
    style = json.dumps(_static("viewer.css"))
    return f"{module_text(*MODULES, 'widget.js')}\nconst STYLE = {style};\n"


def _filled(template: str, parts: dict[str, str]) -> str:
    """In one pass: placeholders inside of a user's text stay text."""
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template)


def _label(text: str) -> str:
    return f'<p id="label">{html.escape(text)}</p>' if text else ""


def module_text(*names: str) -> str:
    """Return modules of `static/` as one: each in a scope of its own, of which its exports are
    taken; the last one as it is."""
    text = "\n".join([*(_scoped(_static(name)) for name in names[:-1]),
                      _without_imports(_static(names[-1]))])
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a module in static/ cannot stand inside a script element")
    return text


def _scoped(text: str) -> str:
    out = ", ".join(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.M))
    inside = re.sub(r"^export ", "", _without_imports(text), flags=re.M)
    return f"const {{{out}}} = (() => {{\n{inside}\nreturn {{{out}}};\n}})();"


def _without_imports(text: str) -> str:
    return re.sub(r"^import \{[^}]*\} from '\./.*\n", "", text, flags=re.M)


def _static(name: str) -> str:
    file = resources.files("idf_helpers") / "static" / name
    return file.read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
