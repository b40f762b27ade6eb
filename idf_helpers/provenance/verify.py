"""Read marks back: what a file says about its origin."""

from __future__ import annotations

import contextlib
import html
import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError
from ..runtime.files import read_json, sha256_file
from .consent import Consent
from .marks import BESIDE, parse
from .reading import SYNTHETIC_TYPES, read_marks, source_type_of


@dataclass(frozen=True)
class Verdict:
    """What was found.

    synthetic: whether the file says that it is synthetic. source_type: IPTC name or "", which may
    be a camera's. layers: where a mark was found ("XMP", "text", "MP4 comment", "PLY comment",
    "GLB asset", "HTML meta", "ZIP comment", "hidden splats", "sidecar"). problems:
    contradictions, e.g. a sidecar of another content. consent: the record beside the file whose
    digest the mark names, or None. fields: the mark's own fields.
    """

    path: str
    synthetic: bool
    source_type: str
    layers: tuple[str, ...]
    fields: dict
    consent: Consent | None
    problems: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: " + ("synthetic" if self.synthetic else "no mark found")]
        if self.source_type:
            lines.append(f"  digital source type: {self.source_type}")
        if self.synthetic:
            lines.append(f"  marks read:          {', '.join(self.layers)}")
            for key in ("made", "software", "run_id"):
                if self.fields.get(key):
                    lines.append(f"  {key.replace('_', ' ') + ':':<20} {self.fields[key]}")
        if self.consent:
            lines.append(f"  consent ({self.consent.basis}):  {self.consent.statement}")
        elif self.fields.get("consent"):
            lines.append(f"  consent:             digest {self.fields['consent'][:16]}…, record "
                         f"not found beside the file")
        lines += [f"  problem: {p}" for p in self.problems]
        return "\n".join(lines)


def verify(path: str | Path) -> Verdict:
    """Read what a file says about its origin: every mark in it or beside it.

    Args:
        path: a picture, video, page or model.

    Returns what was found. IdfError where the file is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise IdfError(f"There is no file {path}", "a folder" if path.is_dir() else "no such file",
                       "name one exported file")
    layers: list[str] = []
    problems: list[str] = []
    fields: dict[str, str] = {}
    source_type = ""
    sidecar = path.with_name(path.name + BESIDE)
    found, told = read_marks(path), None
    if sidecar.is_file():
        told = read_json(sidecar, "sidecar")
        found.insert(0, ("sidecar", json.dumps(told, ensure_ascii=False)[:2**16]))
    for layer, text in found:
        said, name = parse(text) or {}, source_type_of(html.unescape(text))
        name = name or said.get("source_type", "")
        if not name:
            continue
        layers.append(layer)
        fields = fields or said
        if source_type and name != source_type:
            problems.append(f"{layer} says {name}, another mark {source_type}")
        if not source_type or source_type not in SYNTHETIC_TYPES and name in SYNTHETIC_TYPES:
            source_type = name
        if said and said["run_id"] != fields["run_id"]:
            problems.append(f"{layer} names run {said['run_id']}, another mark {fields['run_id']}")
    if sidecar.is_file():
        if not isinstance(told, dict) or "sha256" not in told:
            problems.append("the sidecar is damaged: it does not say which content it belongs to")
        elif told["sha256"] != sha256_file(path):
            problems.append("the sidecar belongs to another content: the file was changed")
    synthetic = bool(fields) or source_type in SYNTHETIC_TYPES
    return Verdict(str(path), synthetic, source_type, tuple(dict.fromkeys(layers)), fields,
                   consent_beside(path, fields.get("consent", "")), tuple(problems))


def consent_beside(path: Path, digest: str) -> Consent | None:
    """Return the record of that digest in the file's folder or one of the three above it."""
    if not digest:
        return None
    for folder in list(path.resolve().parents)[:4]:
        # a file of that name in a folder above may be anybody's: then it is not the record
        with contextlib.suppress(IdfError):
            record = Consent.read(folder, digest)
            if record is not None:
                return record
    return None
