"""Consent: whose faces these are, and who says that they may be used.

A swap asks for a statement that covers the source and the target. Only the bundled synthetic
faces, known by the hash of their files, need none.
"""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass
from pathlib import Path

from ..data.samples import is_synthetic
from ..errors import IdfError
from ..runtime.files import read_json, sha256_bytes, sha256_file, stable_hash, write_json

MIN_WORDS = 3


@dataclass(frozen=True)
class Consent:
    """The consent record stored with a run.

    statement: the user's own words; for bundled faces a fixed sentence.
    basis: "statement" or "synthetic" (all faces are bundled synthetic ones).
    source_sha256: of the source photo's bytes, or of the list of the hashes of several.
    target_sha256: of the target picture, or of the list of the hashes of a dataset's pictures.
    date: UTC, ISO 8601.
    """

    statement: str
    basis: str
    source_sha256: str
    target_sha256: str
    date: str

    @property
    def digest(self) -> str:
        """SHA-256 of the whole record, which every exported file carries."""
        return stable_hash(asdict(self))

    def write(self, folder) -> Path:
        """Write consent.json; beside another record there, consent-<digest>.json."""
        path = Path(folder) / "consent.json"
        if path.is_file() and (there := _read(path)) and there.digest != self.digest:
            path = path.with_name(f"consent-{self.digest[:8]}.json")
        write_json(path, asdict(self) | {"digest": self.digest})
        return path

    @classmethod
    def read(cls, folder, digest: str | None = None) -> Consent | None:
        """Return the record stored in `folder`, None where there is none. digest: a certain one."""
        paths = sorted(Path(folder).glob("consent*.json"), reverse=True)
        records = [r for r in map(_read, paths) if digest is None or r.digest == digest]
        return records[0] if records else None


def _read(path: Path) -> Consent:
    data = read_json(path, "consent record")
    try:
        return Consent(**{k: str(data[k]) for k in Consent.__dataclass_fields__})
    except (KeyError, TypeError):
        raise IdfError(f"The consent record {path} is incomplete", str(data)[:120],
                       "run the swap again") from None


def require_consent(statement: str, source: bytes | list[bytes], targets: list[Path]) -> Consent:
    """Return the record for a swap of the face in `source` (a photo's bytes, or those of several)
    onto `targets` (pictures).

    IdfError where a statement is needed and missing, or too short to state anything.
    """
    sources = [source] if isinstance(source, bytes) else list(source)
    statement = " ".join((statement or "").split())
    hashes = [sha256_file(p) for p in targets]
    target_hash = hashes[0] if len(hashes) == 1 else stable_hash(hashes)
    hashes = [sha256_bytes(s) for s in sources]
    source_hash = hashes[0] if len(hashes) == 1 else stable_hash(hashes)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    foreign = [name for name, known in (
        ("the source photo", all(is_synthetic(s) for s in sources)),
        ("the target", all(is_synthetic(p) for p in targets))) if not known]
    if not foreign:
        return Consent(statement or "All faces are bundled synthetic heads that show no real "
                       "person.", "synthetic", source_hash, target_hash, date)
    if len(statement.split()) < MIN_WORDS:
        raise IdfError(
            f"A swap needs a consent statement covering {' and '.join(foreign)}",
            repr(statement) if statement else "none given",
            "say in a sentence whose faces these are and that they agreed (--consent, in a "
            "notebook the Consent field), e.g. "
            "\"Both pictures show me, and I agree to this swap.\"")
    return Consent(statement, "statement", source_hash, target_hash, date)
