"""What was made of what: an output's mark follows from the run, pictures or video it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..data.dataset import Dataset
from ..runtime.files import stable_hash
from ..runtime.runs import read_manifest
from .consent import Consent
from .marks import Mark, parse
from .reading import SYNTHETIC_TYPES, read_marks, source_type_of
from .verify import consent_beside
from .watermark import payload_of

# Of the IPTC's digital source types: put together by a program, and by one that was trained.
COMPOSITE, TRAINED_COMPOSITE = "compositeSynthetic", "compositeWithTrainedAlgorithmicMedia"
TRAINED = (TRAINED_COMPOSITE, "trainedAlgorithmicMedia")


@dataclass(frozen=True)
class Origin:
    """What the marks of some inputs say together.

    source_type: COMPOSITE or TRAINED_COMPOSITE; "" where no input is synthetic. made: what most of
    the marked ones are. consent: the digest that most of them name. marked: how many are. payload:
    of the watermark that most of them name, which stays in pixels that are not drawn anew; 0: none.
    """

    source_type: str = ""
    made: str = ""
    consent: str = ""
    marked: int = 0
    payload: int = 0

    @property
    def fields(self) -> dict[str, str]:
        """What a manifest takes over; nothing where no input was marked."""
        return {"source_type": self.source_type, "consent": self.consent,
                "of": self.made} if self.marked else {}

    def mark(self, run_id: str, made: str) -> Mark | None:
        """Return the mark of what is made of marked inputs; None where none of them is."""
        return Mark(run_id, f"{made} of {self.made}" if self.made else made, self.source_type,
                    self.consent, self.payload) if self.marked else None

    def joined(self, source_type: str) -> str:
        """Return the digital source type of what a method of that type makes of these inputs."""
        return TRAINED_COMPOSITE if {self.source_type, source_type} & set(TRAINED) else source_type


def origin_of(inputs: Iterable[str | Path | bytes]) -> Origin:
    """Read the marks of pictures, videos and models (files or their bytes) that something is made
    of. What cameras and people write is no mark. IdfError where one cannot be read."""
    types, made, consents, payloads = set(), Counter[str](), Counter[str](), Counter[str]()
    marked = 0
    for one in inputs:
        texts = [text for _, text in read_marks(one)]
        said = next((s for s in map(parse, texts) if s), None) or {}
        kinds = {source_type_of(t) for t in texts} | {said.get("source_type", "")}
        if not said and not kinds & SYNTHETIC_TYPES:
            continue
        marked += 1
        types |= kinds
        made[said.get("made", "synthetic media")] += 1
        consents[said.get("consent", "")] += 1
        payloads[said.get("watermark", "")] += 1
    consents.pop("", None)
    payloads.pop("", None)
    if not marked:
        return Origin()
    return Origin(TRAINED_COMPOSITE if types & set(TRAINED) else COMPOSITE,
                  made.most_common(1)[0][0], *(d for d, _ in consents.most_common(1) or [("", 0)]),
                  marked, int(next(iter(payloads.most_common(1)), ("0", 0))[0], 16))


def mark_of(data: Dataset | str | Path, run_id: str, made: str, source_type: str = "") -> Mark:
    """Return the mark of something made from the pictures of a dataset, or from a run on it.

    Where the folder has no manifest of ours that tells it, the pictures' own marks do: a dataset
    may have been copied without it. data: the dataset; a folder is known by its manifest only.
    made: what it is, in words; "of swapped views" is added where it is. source_type: "" = as the
    inputs' own. IdfError where the manifest is damaged: consent must not get lost.
    """
    folder = Path(data.root if isinstance(data, Dataset) else data)
    manifest = read_manifest(folder) if (folder / "run.json").is_file() else {}
    before, consent = manifest.get("source_type", ""), manifest.get("consent", "")
    swapped = manifest.get("stage") == "swap" or bool(consent)
    if not before and not consent and isinstance(data, Dataset):
        origin = origin_of(f.path for f in data.frames)
        before, consent = origin.source_type, origin.consent
        swapped = "swap" in origin.made
    return Mark(run_id, f"{made} of swapped views" if swapped else made,
                source_type or before or COMPOSITE, consent)


def mark_of_run(folder, made: str) -> Mark:
    """Return the mark of what is exported from a finished run. made: where the run does not say."""
    manifest = read_manifest(folder)
    return Mark(manifest["run_id"], manifest.get("made", made),
                manifest.get("source_type", COMPOSITE), manifest.get("consent", ""),
                payload_of(manifest.get("identity", manifest["run_id"])),
                inputs_of(manifest, Consent.read(folder)))


def inputs_of(manifest: dict, record: Consent | None) -> tuple[tuple[str, str], ...]:
    """Return (name, SHA-256) of what a run read: its inputs as its manifest tells them, and the
    source photo of a swap before it."""
    inputs = manifest.get("inputs") or {}
    out = [("inputs of the run", stable_hash(inputs))] if inputs else []
    return (*out, *([("source photo", record.source_sha256)] if record else []))


def mark_within(folder, made: str, source_type: str = COMPOSITE) -> Mark:
    """Return the mark of a part of a run that is still going on, whose consent is in its folder."""
    record, there = Consent.read(folder), (Path(folder) / "run.json").is_file()
    return Mark(read_manifest(folder)["run_id"] if there else "unknown", made, source_type,
                record.digest if record else "")


def copy_consent(source, target, digest: str = "") -> None:
    """Copy the consent record, where there is one, to what is made of the pictures.

    source: a folder; with a `digest` that record is looked for above it too.
    """
    record = consent_beside(Path(source) / "x", digest) or Consent.read(source)
    if record is not None:
        record.write(target)
