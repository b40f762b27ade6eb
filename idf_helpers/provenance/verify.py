"""Read marks back: what files say about their origin, and whether it holds together."""

from __future__ import annotations

import contextlib
import html
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..data.media import is_image, is_video, read_image, read_video
from ..errors import IdfError
from ..runtime.files import read_json, sha256_file
from ..runtime.tables import Table
from . import credentials
from .consent import Consent
from .credentials import Credential
from .marks import BESIDE, parse
from .reading import SYNTHETIC_TYPES, read_marks, source_type_of
from .watermark import Found, detect, detect_frames, detect_in_model, payload_text

VIDEO_FRAMES = 24  # of the beginning of a video, whose watermark is looked for
# What a made picture may be in: looked at where a folder is given
MODELS = (".html", ".ply", ".splat", ".spz", ".sog", ".ksplat", ".glb", ".npz", ".zip", ".tar")


@dataclass(frozen=True)
class Verdict:
    """What was found.

    synthetic: whether anything says that it is synthetic. source_type: IPTC name or "", which may
    be a camera's. layers: where a mark was found ("XMP", "text", "MP4 comment", "PLY comment",
    "GLB asset", "HTML meta", "ZIP comment", "hidden splats", "sidecar", "C2PA", "watermark").
    problems: what disagrees. consent: the record beside the file whose digest the mark names, or
    None. fields: the mark's own fields. signature: its signed credentials, or None. watermark:
    what the pixels carry, or None.
    """

    path: str
    synthetic: bool
    source_type: str
    layers: tuple[str, ...]
    fields: dict
    consent: Consent | None
    problems: tuple[str, ...]
    signature: Credential | None = None
    watermark: Found | None = None

    @property
    def signature_words(self) -> str:
        """The signature in a few words."""
        if self.signature is None:
            return "none"
        return {"own": "valid, made here", "valid": "valid, by an unknown signer",
                "invalid": "does NOT hold"}[self.signature.state]

    @property
    def watermark_words(self) -> str:
        """The watermark in a few words. What was made of a marked picture may keep its watermark;
        then it is another one than the marks name."""
        if self.watermark is None:
            return "none"
        read, named = payload_text(self.watermark.payload), self.fields.get("watermark", "")
        return f"{read}, of what it was made of" if named and named != read else read

    @property
    def consent_words(self) -> str:
        """The consent in a few words."""
        if self.consent is None:
            return "record not here" if self.fields.get("consent") else "none named"
        kind = "drawn heads" if self.consent.basis == "synthetic" else "stated"
        by = f" by {self.consent.by}" if self.consent.by else ""
        return f"{kind}{by}, {self.consent.state}"

    def __str__(self) -> str:
        lines = [f"{self.path}: " + ("synthetic" if self.synthetic else "no mark found")]
        if self.source_type:
            lines.append(f"  digital source type: {self.source_type}")
        if self.layers:
            lines.append(f"  marks read:          {', '.join(self.layers)}")
        if self.synthetic:
            for key in ("made", "software", "run_id"):
                if self.fields.get(key):
                    lines.append(f"  {key.replace('_', ' ') + ':':<20} {self.fields[key]}")
        if self.signature:
            lines.append(f"  signature:           {self.signature_words}"
                         + (f" ({self.signature.signer})" if self.signature.signer else ""))
            lines += [f"  made of:             {name}" for name in self.signature.ingredients]
        if self.watermark:
            lines.append(f"  watermark:           {self.watermark_words} (by chance in an "
                         f"unmarked picture: {self.watermark.probability:.0e})")
        if self.consent:
            by = f", by {self.consent.by}" if self.consent.by else ""
            lines.append(f"  consent ({self.consent.basis}):  {self.consent.statement} "
                         f"({self.consent.date[:10]}{by}, {self.consent.state})")
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
    if not os.path.isfile(path):
        raise IdfError(f"There is no file {path}",
                       "a folder" if os.path.isdir(path) else "no such file",
                       "name an exported file")
    found, told, problems = read_marks(path), None, []
    sidecar = path.with_name(path.name + BESIDE)
    has_sidecar = os.path.isfile(sidecar)  # False too where its name would be too long
    if has_sidecar:
        told = read_json(sidecar, "sidecar")
        found.insert(0, ("sidecar", json.dumps(told, ensure_ascii=False)[:2**16]))
    signature = credentials.read(path)
    if signature is not None:
        found.append(("C2PA", signature.text or " ".join(
            f"c2pa.org/digitalsourcetype/{t}" for t in signature.source_types[:1])))
        if signature.state == "invalid":
            problems.append("the signature does not hold: " + (
                "; ".join(signature.failures) or "no reason given")
                + ". The file was changed after it was signed")
    layers, fields, source_type = _compared(found, problems)
    if signature is not None and "C2PA" not in layers:
        layers.append("C2PA")
    watermark = _watermark(path)
    if watermark is not None:
        layers.append("watermark")
        if source_type and source_type not in SYNTHETIC_TYPES:
            problems.append(f"the metadata says {source_type}, but the pixels carry our watermark")
    if has_sidecar:
        if not isinstance(told, dict) or "sha256" not in told:
            problems.append("the sidecar is damaged: it does not say which content it belongs to")
        elif told["sha256"] != sha256_file(path):
            problems.append("the sidecar belongs to another content: the file was changed")
    record = consent_beside(path, fields.get("consent", ""))
    if record is not None and record.state == "changed":
        problems.append("the consent record was changed after it was signed")
    synthetic = bool(fields) or source_type in SYNTHETIC_TYPES or watermark is not None
    return Verdict(str(path), synthetic, source_type, tuple(dict.fromkeys(layers)), fields, record,
                   tuple(problems), signature, watermark)


def _compared(found: list[tuple[str, str]], problems: list[str]
              ) -> tuple[list[str], dict[str, str], str]:
    """Return the layers that say something, the fields of the first, and the source type; what
    disagrees goes to `problems`."""
    layers: list[str] = []
    fields: dict[str, str] = {}
    source_type = ""
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
        for key, words in (("run_id", "names run"), ("consent", "names consent")):
            if said and said[key] != fields[key]:
                problems.append(f"{layer} {words} {said[key][:16] or 'none'}, another mark "
                                f"{fields[key][:16] or 'none'}")
    return layers, fields, source_type


def _watermark(path: Path) -> Found | None:
    with contextlib.suppress(IdfError):  # no picture that can be decoded
        if is_image(path):
            return detect(read_image(path)[..., :3])
        if is_video(path):
            return detect_frames(islice(read_video(path), VIDEO_FRAMES))
        return detect_in_model(path)
    return None


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


# --- several files --------------------------------------------------------------------------------

def files_in(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files to look at: those named, and of folders all that may show something made.

    Work files of unfinished runs and hidden files are left out. IdfError: nothing there.
    """
    out: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            out.append(path)
            continue
        found = [p for p in sorted(path.rglob("*")) if p.is_file() and (
            is_image(p) or is_video(p) or p.suffix.lower() in MODELS)]
        out += [p for p in found if not any(
            part.startswith(".") or part in ("checkpoints", "cache", "work")
            for part in p.relative_to(path).parts)]
    if not out:
        raise IdfError("There is nothing to verify", "no picture, video, page or model in "
                       + ", ".join(map(str, paths)), "name files, or a folder that holds some")
    return list(dict.fromkeys(out))


def verify_all(paths: Iterable[str | Path]) -> list[Verdict]:
    """Verify files, and all files in folders. A file that cannot be read is a problem of its own,
    unless it alone was named."""
    files = files_in(paths)
    if len(files) == 1:
        return [verify(files[0])]
    out = []
    for file in files:
        try:
            out.append(verify(file))
        except IdfError as error:
            out.append(Verdict(str(file), False, "", (), {}, None, (error.what,)))
    return out


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 0 where every file is marked and nothing disagrees, 1 where a file has no mark, 3
    where something disagrees: a changed file, a broken signature, marks of two origins."""
    if any(v.problems for v in verdicts):
        return 3
    return 0 if all(v.synthetic for v in verdicts) else 1


def table(verdicts: Sequence[Verdict]) -> Table:
    """Return one row a file: what it says, signature, watermark, metadata, consent; below, what
    disagrees."""
    names = _short([v.path for v in verdicts])
    rows = [{"file": name,
             "says": "synthetic" if v.synthetic else v.source_type or "nothing",
             "signature": v.signature_words,
             "watermark": v.watermark_words,
             "metadata": ", ".join(n for n in v.layers if n not in ("C2PA", "watermark"))
             or "none", "consent": v.consent_words}
            for name, v in zip(names, verdicts, strict=True)]
    marked, wrong = sum(v.synthetic for v in verdicts), sum(bool(v.problems) for v in verdicts)
    return Table(rows, notes=[
        f"{marked} of {len(verdicts)} marked as synthetic; "
        + (f"something disagrees in {wrong}:" if wrong else "nothing disagrees"),
        *(f"{name}: {p}" for name, v in zip(names, verdicts, strict=True) for p in v.problems)])


def origins(paths: Iterable[str | Path] | str | Path) -> Table:
    """Return the table of `table` of files, and of all files in folders."""
    return table(verify_all([paths] if isinstance(paths, (str, Path)) else paths))


def _short(paths: Sequence[str]) -> list[str]:
    """Return paths without the folder that all of them lie in."""
    folders = [Path(p).parent.parts for p in paths]
    shared = next((i for i, names in enumerate(zip(*folders, strict=False))
                   if len(set(names)) > 1), min(map(len, folders), default=0))
    return [str(Path(*Path(p).parts[shared:])) for p in paths]
