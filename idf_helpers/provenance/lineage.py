"""What was made of what: an output's mark follows from the run or dataset that it came from."""

from __future__ import annotations

from pathlib import Path

from ..runtime.runs import read_manifest
from .consent import Consent
from .marks import Mark

# Of the IPTC's digital source types: put together by a program, and by one that was trained.
COMPOSITE, TRAINED_COMPOSITE = "compositeSynthetic", "compositeWithTrainedAlgorithmicMedia"


def mark_of(folder, run_id: str, made: str, source_type: str = "") -> Mark:
    """Return the mark of something made from the pictures of a dataset folder, or from a run on it.

    made: what it is, in words; "of swapped views" is added where it is. source_type: "" = as the
    folder's own. IdfError where the folder's manifest is damaged: consent must not get lost.
    """
    if not (Path(folder) / "run.json").is_file():
        return Mark(run_id, made, source_type or COMPOSITE)
    manifest = read_manifest(folder)
    swapped = manifest.get("stage") == "swap"
    return Mark(run_id, f"{made} of swapped views" if swapped else made,
                source_type or manifest.get("source_type", COMPOSITE), manifest.get("consent", ""))


def mark_of_run(folder, made: str) -> Mark:
    """Return the mark of what is exported from a finished run. made: where the run does not say."""
    manifest = read_manifest(folder)
    return Mark(manifest["run_id"], manifest.get("made", made),
                manifest.get("source_type", COMPOSITE), manifest.get("consent", ""))


def copy_consent(source, target) -> None:
    """Copy the consent record, where there is one, to what is made of the pictures."""
    record = Consent.read(source)
    if record is not None:
        record.write(target)
