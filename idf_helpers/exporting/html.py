"""One self-contained page that shows splats in 3D: no network, no installation, opens from disk."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
import re
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from ..data.cameras import SceneFrame
from ..errors import IdfError
from ..reconstruction.splats.gaussians import Gaussians
from ..runtime.files import write_text
from .avatar_payload import Face, reach, rig_json
from .pack import pack

LABEL = "Synthetic"
MODULES = ("blend.js", "splat.js", "orbit.js", "face.js", "shell.js")
DEFAULT_FOV = math.radians(29)


def write_viewer(gaussians: Gaussians, path, *, title: str, scene_frame: SceneFrame | None = None,
                 label: str = LABEL, note: str = "", meta: dict[str, str] | None = None,
                 background: str = "dark", sweep: float = 360.0, turn: float | None = None,
                 trained_at: int | None = None, soft_edge: bool = True, sh_degree: int = 3,
                 face: Face | None = None) -> Path:
    """Writes the page (one HTML file of about 60 bytes a Gaussian) and returns its path.

    scene_frame: where the head is and how wide the first view, as `cameras.scene_frame` finds it;
        None: guessed from the Gaussians, z up and the face toward -y.
    label: the visible mark in the corner; there is no button to take it away. "" leaves it out.
    note: a line of small print under the title. meta: names and contents of further meta tags.
    background: "dark" or "white", what the page starts with.
    sweep: degrees of the turntable; 360 goes round, less sways about the front, 0 stands still.
    turn: degrees to either side that the page can be turned to; None: all round.
    trained_at: side of the training pictures in pixels. Where the page shows the head larger than
        that, the Gaussians keep the width they were trained with.
    soft_edge: fade out what lies below the pictures that the splats were made from, where nothing
        held them in place (`fade_below`); needs `scene_frame`.
    sh_degree: highest degree of view-dependent color to keep, 0 to 3.
    face: what moves an avatar's face (see `rig.whole`): the page gets sliders for its expression;
        `gaussians` are the neutral face.
    Raises IdfError where there is nothing to show or the file cannot be written.
    """
    path = Path(path)
    write_text(path, viewer_html(
        gaussians, title=title, scene_frame=scene_frame, label=label, note=note, meta=meta,
        background=background, sweep=sweep, turn=turn, trained_at=trained_at, soft_edge=soft_edge,
        sh_degree=sh_degree, face=face))
    return path


def viewer_html(gaussians: Gaussians, *, title: str, scene_frame: SceneFrame | None = None,
                label: str = LABEL, note: str = "", meta: dict[str, str] | None = None,
                background: str = "dark", sweep: float = 360.0, turn: float | None = None,
                trained_at: int | None = None, soft_edge: bool = True, sh_degree: int = 3,
                face: Face | None = None) -> str:
    """The page of `write_viewer` as text, for an iframe's srcdoc."""
    shown = Shown.of(gaussians, scene_frame, background=background, sweep=sweep, turn=turn,
                     trained_at=trained_at, soft_edge=soft_edge, sh_degree=sh_degree, face=face)
    script, style = module_text(*MODULES, "viewer.js"), _static("viewer.css")
    policy = ("default-src 'none'; script-src " + _digest(script) + "; style-src " + _digest(style)
              + "; img-src data:; connect-src 'none'; base-uri 'none'; form-action 'none'")
    tags = [f'<meta name="{html.escape(k)}" content="{html.escape(v)}">'
            for k, v in (meta or {}).items()]
    page = json.dumps(shown.page | {"rig": shown.rig}, allow_nan=False)
    return _filled(_static("viewer.html").replace("{{shell}}", _static("shell.html")), {
        "csp": policy, "meta": "\n".join(tags), "title": html.escape(title),
        "note": html.escape(note), "style": style, "script": script,
        "label": _label(label), "page": page.replace("<", "\\u003c"),
        "data": base64.b64encode(shown.data).decode("ascii")})


@dataclass(frozen=True)
class Shown:
    """What the browser gets, in a page or in a widget.

    data: the pack, gzip. page: frame, footprint and background, for static/shell.js. rig: sliders
    and weights of an avatar's face (`rig.rig_json`), or None.
    """

    data: bytes
    page: dict
    rig: dict | None

    @classmethod
    def of(cls, gaussians: Gaussians, scene_frame: SceneFrame | None = None, *,
           background: str = "dark", sweep: float = 360.0, turn: float | None = None,
           trained_at: int | None = None, soft_edge: bool = True, sh_degree: int = 3,
           face: Face | None = None) -> Shown:
        """Arguments as of `write_viewer`."""
        if background not in ("dark", "white"):
            raise IdfError("This background is unknown", repr(background),
                           "use \"dark\" or \"white\"")
        gaussians = gaussians.checked()
        frame = scene_frame or guess_frame(gaussians)
        if soft_edge and scene_frame is not None:  # a guessed frame knows nothing of the pictures
            gaussians, kept = _faded(gaussians, frame)
            face = face and replace(face, deltas={n: d[:, kept] for n, d in face.deltas.items()})
        packed = pack(gaussians, sh_degree, face.deltas, reach(face.basis)) if face else \
            pack(gaussians, sh_degree)
        if turn is not None:
            sweep = min(sweep, 1.2 * turn)
        page = {
            "background": background,
            # width of a training pixel at the middle of the head, in world units
            "footprint": 2 * frame.radius / trained_at if trained_at else 0,
            "frame": {"center": list(map(float, frame.center)), "up": list(map(float, frame.up)),
                      "front": list(map(float, frame.front)), "distance": float(frame.distance),
                      "fov": 2 * math.atan(frame.radius / frame.distance), "sweep": float(sweep),
                      "turn": turn}}
        return cls(gzip.compress(packed, 9, mtime=0), page,
                   rig_json(face.basis, face.track) if face else None)


def cell_html(title: str, note: str, label: str) -> str:
    """The inside of the page for a notebook's cell, escaped."""
    return _filled(_static("shell.html"), {"title": html.escape(title), "note": html.escape(note),
                                           "label": _label(label)})


def cell_module() -> str:
    """The widget's ES module, with its style."""
    style = json.dumps(_static("viewer.css"))
    return f"{module_text(*MODULES, 'widget.js')}\nconst STYLE = {style};\n"


def _filled(template: str, parts: dict[str, str]) -> str:
    """In one pass: placeholders inside of what people typed stay text."""
    return re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template)


def _label(text: str) -> str:
    return f'<p id="label">{html.escape(text)}</p>' if text else ""


def fade_below(gaussians: Gaussians, frame: SceneFrame, start: float = 1.0,
               end: float = 1.14) -> Gaussians:
    """A copy whose opacity falls to zero between `start` and `end` radii below the center.

    A bust runs out of the pictures at the bottom; what was trained beyond their edge is a smear
    that a tall window or a raised view would show.
    """
    return _faded(gaussians, frame, start, end)[0]


def _faded(gaussians: Gaussians, frame: SceneFrame, start: float = 1.0, end: float = 1.14
           ) -> tuple[Gaussians, np.ndarray]:
    """`fade_below`, and (N,) bool which ones are left."""
    depth = -(gaussians.means - frame.center) @ frame.up / frame.radius
    t = np.clip((depth - start) / (end - start), 0, 1)
    left = 1 - t * t * (3 - 2 * t)  # smoothstep
    opacity, kept = np.maximum(gaussians.opacities * left, 1e-7), left > 1e-4
    out = gaussians[kept]
    # sigmoid^-1; the cap keeps an opacity that rounds to 1 finite
    logits = np.log(opacity[kept] / np.maximum(1 - opacity[kept], 1e-7))
    out.opacity_logits = np.where(t[kept] > 0, logits, out.opacity_logits).astype(np.float32)
    return out, kept


def module_text(*names: str) -> str:
    """Modules of `static/` as one: their imports of each other fall away."""
    lines = "\n".join(_static(name) for name in names).split("\n")
    text = "\n".join(line for line in lines if not re.match(r"import \{.*\} from '\./", line))
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a module in static/ cannot stand inside a script element")
    return text


def _static(name: str) -> str:
    file = resources.files("idf_helpers") / "static" / name
    return file.read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
