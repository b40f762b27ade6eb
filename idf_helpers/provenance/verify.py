"""Read marks back: what a file says about its origin."""

from __future__ import annotations

import contextlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..data.media import video_info
from ..errors import IdfError
from ..runtime.files import read_json, sha256_file
from .consent import Consent
from .marks import IPTC, parse

HEAD_BYTES = 4 * 2**20  # marks stand in the first part of every format but MP4


@dataclass(frozen=True)
class Verdict:
    """What was found.

    synthetic: whether the file says that it is synthetic. source_type: IPTC name or "".
    layers: where a mark was found ("XMP", "text", "MP4 comment", "PLY comment", "GLB asset",
    "HTML meta", "sidecar"). problems: contradictions, e.g. a sidecar of another content. consent:
    the record beside the file whose digest the mark names, or None. fields: the mark's own
    fields.
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
        if self.synthetic:
            lines.append(f"  digital source type: {self.source_type}")
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
    found = _layers(path)
    for layer, text in found:
        said = parse(text)
        kind = re.search(re.escape(IPTC) + r"(\w+)", html.unescape(text))
        if said is None and kind is None:
            continue
        said = said or {}
        layers.append(layer)
        fields = fields or said
        name = kind[1] if kind else said["source_type"]
        if source_type and name != source_type:
            problems.append(f"{layer} says {name}, another mark {source_type}")
        source_type = source_type or name
        if said and fields and said["run_id"] != fields["run_id"]:
            problems.append(f"{layer} names run {said['run_id']}, another mark {fields['run_id']}")
    sidecar = path.with_name(path.name + ".provenance.json")
    if sidecar.is_file() and read_json(sidecar, "sidecar").get("sha256") != sha256_file(path):
        problems.append("the sidecar belongs to another content: the file was changed")
    return Verdict(str(path), bool(layers), source_type, tuple(layers), fields,
                   _consent_of(path, fields.get("consent", "")), tuple(problems))


def _layers(path: Path) -> list[tuple[str, str]]:
    """Return (layer, text) of every place where a mark may stand."""
    suffix = path.suffix.lower()
    sidecar = path.with_name(path.name + ".provenance.json")
    out = []
    if sidecar.is_file():
        out.append(("sidecar", json.dumps(read_json(sidecar, "sidecar"))))
    if suffix == ".mp4":
        return [*out, ("MP4 comment", video_info(path).comment)]
    with open(path, "rb") as f:
        head = f.read(HEAD_BYTES)
    if suffix == ".ply":
        lines = head[:max(0, head.find(b"end_header"))].decode("ascii", "replace")
        return [*out, ("PLY comment", lines)]
    if suffix == ".glb":
        asset = re.search(r'"asset":\{.*?\}\}', head.decode("utf-8", "replace"))
        return [*out, ("GLB asset", asset[0] if asset else "")]
    if suffix == ".html":
        text = head.decode("utf-8", "replace")
        metas = "\n".join(re.findall(r"<meta [^>]*>", text))
        return [*out, ("HTML meta", metas)]
    text = head.decode("utf-8", "replace")
    packet = re.search(r"<x:xmpmeta.*?</x:xmpmeta>", text, re.S)
    if packet:
        out.append(("XMP", packet[0]))
    if suffix == ".png" and "idf:provenance" in text:
        out.append(("text", text[text.index("idf:provenance"):][:1000]))
    return out


def _consent_of(path: Path, digest: str) -> Consent | None:
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
