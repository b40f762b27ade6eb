"""Consent: whose faces these are, and who says that they may be used.

A swap asks for a statement that covers the source and the target. Only the bundled synthetic
faces, known by the hash of their files, need none. The record says who stated it, where that was
said ("… -- Anna K., who is shown"), of which files by their hashes, and when; it is signed with the
key of `keys`, so that a changed one is told from a genuine one. Whether it is true nobody here can
know.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import os
import re
import unicodedata
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..data.samples import is_synthetic
from ..errors import IdfError
from ..runtime.files import read_json, sha256_bytes, sha256_file, stable_hash, write_json
from . import keys

MIN_WORDS, MIN_LETTERS = 3, 10
# Scripts that are written without blanks, or whose signs stand for whole syllables and words
DENSE = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN",
         "ETHIOPIC")
MIN_DENSE = 6


@dataclass(frozen=True)
class Consent:
    """The consent record stored with a run.

    statement: the user's own words; for bundled faces a fixed sentence.
    basis: "statement" or "synthetic" (all faces are bundled synthetic ones).
    source_sha256: of the source photo's bytes, or of the list of the hashes of several.
    target_sha256: of the target picture, or of the list of the hashes of a dataset's pictures.
    date: UTC, ISO 8601. by: name or role of who stated it, "" where that was not said.
    signature, certificate: of the record, base64 and PEM; "" in records of earlier versions.
    """

    statement: str
    basis: str
    source_sha256: str
    target_sha256: str
    date: str
    by: str = ""
    signature: str = field(default="", compare=False)
    certificate: str = field(default="", compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what is stated, which every exported file carries."""
        return stable_hash(self._stated())

    def _stated(self) -> dict[str, str]:
        told = {k: v for k, v in asdict(self).items() if k not in ("signature", "certificate")}
        if not self.by:  # records of earlier versions keep their digest
            del told["by"]
        return told

    def _bytes(self) -> bytes:
        return json.dumps(self._stated(), sort_keys=True).encode()

    def signed(self) -> Consent:
        """Return it with a signature by the key of this installation."""
        signature, certificate = keys.sign_bytes(self._bytes())
        return replace(self, signature=base64.b64encode(signature).decode(),
                       certificate=certificate.decode())

    @property
    def state(self) -> str:
        """"signed", "unsigned" (by an earlier version), or "changed" after it was signed."""
        if not self.signature:
            return "unsigned"
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            return "changed"
        return "signed" if keys.is_signed(self._bytes(), signature,
                                          self.certificate.encode()) else "changed"

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
        paths = sorted((p for p in Path(folder).glob("consent*.json") if p.is_file()),
                       reverse=True)
        records = [r for r in map(_read, paths) if digest is None or r.digest == digest]
        return records[0] if records else None


LATER = ("by", "signature", "certificate")  # fields that earlier versions did not write


def _read(path: Path) -> Consent:
    data = read_json(path, "consent record")
    try:
        return Consent(**{k: str(data.get(k, "") if k in LATER else data[k])
                          for k in Consent.__dataclass_fields__})
    except (KeyError, TypeError, AttributeError):
        raise IdfError(f"The consent record {path} is incomplete", str(data)[:120],
                       "run the swap again") from None


def require_consent(statement: str, source: bytes | list[bytes], targets: list[Path]) -> Consent:
    """Return the record for a swap of the face in `source` (a photo's bytes, or those of several)
    onto `targets` (pictures).

    Who states it stands at its end, "… -- NAME OR ROLE", or in the variable IDF_CONSENT_BY.
    IdfError where a statement is needed and missing, or states nothing (see `states_something`).
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
                       "person.", "synthetic", source_hash, target_hash, date).signed()
    if not states_something(statement):
        raise IdfError(
            f"A swap needs a consent statement covering {' and '.join(foreign)}",
            repr(statement) if statement else "none given",
            "say in a sentence whose faces these are and that they agreed (--consent, in a "
            "notebook the Consent field), e.g. "
            "\"Both pictures show me, and I agree to this swap. -- Anna K.\"")
    said = re.search(r"(?:\s--|\s?[\u2013\u2014])\s*([^\u2013\u2014]{2,80})$", statement)
    by = said[1] if said else " ".join(os.environ.get("IDF_CONSENT_BY", "").split())[:80]
    return Consent(statement, "statement", source_hash, target_hash, date, by).signed()


def states_something(text: str) -> bool:
    """Return whether a text can be a statement: three different words or more with ten letters, or
    six different signs of a script without blanks. ". . ." and "a b c" state nothing."""
    # vowels of Indian scripts are marks on letters, which \w leaves out
    letters = "".join(c if unicodedata.category(c)[0] in "LM" else " " for c in text.casefold())
    words = {w for w in letters.split() if len(set(w)) > 1 or len(w) == 1}
    signs = {c for w in words for c in w if unicodedata.name(c, "").startswith(DENSE)}
    return len(signs) >= MIN_DENSE \
        or len(words) >= MIN_WORDS and sum(map(len, words)) >= MIN_LETTERS
