"""What swaps of all targets have in common: the checks before and the report after."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import provenance
from ..data.animations import is_animation
from ..data.media import is_image, is_video, read_image, video_info
from ..data.picture_file import picture_notes
from ..errors import IdfError, shorten
from ..provenance.lineage import Origin, origin_of
from ..provenance.watermark import payload_of
from ..runtime.files import sha256_bytes, stable_hash
from ..runtime.registry import Entry
from ..runtime.runs import RunFolder
from .config import SwapConfig
from .face_selection import unmatched
from .in_front import describe
from .methods import choose_swapper
from .source import SourceFace, load_source
from .source_notes import source_notes
from .swapper import SwapMethod, Swapper

LOOKED_AT = 32  # pictures of a target whose headers are read
PROFILE = 57.0  # degrees as `FaceLandmarks.yaw` gives them, from which a photo shows half a face


@dataclass(frozen=True, eq=False)
class SwapJob:
    """A swap that may begin: settings and photos are checked, consent is given.

    why: one line saying why the method was chosen. inputs: what identifies target and sources.
    origin: what their marks say.
    media: what is done to the target's files on reading.
    """

    config: SwapConfig
    entry: Entry
    why: str
    method: SwapMethod
    sources: tuple[SourceFace, ...]
    consent: provenance.Consent
    inputs: dict
    origin: Origin
    media: tuple[str, ...] = ()

    @classmethod
    def of(cls, source, config: SwapConfig | None, consent: str, pictures: Iterable[Path],
           inputs: dict, offers: frozenset[str] = frozenset()) -> SwapJob:
        """Check everything. pictures: files of the target. inputs: what identifies it. offers: see
        `choose_swapper`. IdfError: bad photo or settings, no consent, a method that lacks
        something."""
        config, pictures = (config or SwapConfig()).checked(), list(pictures)
        photos, faces = read_sources(source, config.face)
        entry, why = choose_swapper(config, offers)
        record = provenance.require_consent(consent, photos, pictures)
        return cls(config, entry, why, entry.load(), faces, record,
                   inputs | {"consent": record.statement} | identity(photos, config),
                   origin_of([*photos, *pictures]),
                   (*_of_sources(source, faces), *media_notes(pictures)))

    def run_folder(self, out, stage: str, resume: bool, **settings) -> RunFolder:
        """Return the run folder, identified by what is read. settings: further ones."""
        read = {name: value for name, value in asdict(self.config).items()
                if name == "face" or name in self.entry.reads}
        return RunFolder(out, stage=stage, backend=self.entry.name, inputs=self.inputs,
                         config=read | settings | {"method": self.method.identity()},
                         resume=resume, defaults=asdict(SwapConfig()))

    def keep_consent(self, run: RunFolder) -> provenance.Consent:
        """Return the consent record, written into the run; an earlier try's keeps its date."""
        record = provenance.Consent.read(run.path) or self.consent
        record.write(run.path)
        return record

    def mark(self, run: RunFolder, swapper: Swapper, record: provenance.Consent,
             of: str = "") -> provenance.Mark:
        """Return the mark of what is made. of: the kind of target, in words."""
        return provenance.Mark(run.run_id, f"face swap{of} ({self.entry.name})",
                               self.origin.joined(swapper.source_type), record.digest,
                               payload_of(run.manifest["identity"]),
                               (("source photo", record.source_sha256),
                                ("target", record.target_sha256)))

    def report(self, swapper: Swapper, rows: Sequence[dict]) -> dict:
        """Return the head of a report. rows: each with its `sources`."""
        return {"backend": self.entry.name, "why": self.why, **self.notes(swapper, rows),
                "source_sha256": self.inputs["source_sha256"],
                "photos": [face.name for face in self.sources]}

    def notes(self, swapper: Swapper, rows: Sequence[dict]) -> dict:
        """Return the note of the method, what is to be told of the photos, which of them went to
        no face, how much of the faces is guessed, and what stands before them."""
        notes, count = [swapper.note] if swapper.note else [], len(self.sources)
        notes += [*self.media, *source_notes(self.sources)]
        if count > 1 and swapper.merges:
            notes.append(f"{count} photos merged into one texture")
        elif count > 1 and (left := unmatched(rows, count)):
            notes.append("no face was found for source " + ", ".join(map(str, left)))
        if guesses := [row["guessed"] for row in rows if "guessed" in row]:
            share = 100 * sum(guesses) / len(guesses)
            photo = "photos" if count > 1 else "photo"
            notes.append(f"{share:.0f} % of the face is guessed: not shown by the {photo}, but "
                         "from its other side or the target's")
        swapped = [row.get("in_front", ()) for row in rows if row["status"] == "swapped"]
        if before := describe(swapped):
            notes.append(before)
        return {"note": "; ".join(notes)} if notes else {}

    def nothing_swapped(self, where, rows: Sequence[dict]) -> IdfError:
        """Return the error for a target of which nothing was swapped. rows: status, reason."""
        if self.config.reference:
            reasons = Counter(row["reason"] for row in rows)
            near = [r for r in reasons if r.startswith("no face like")] \
                or [r for r, _ in reasons.most_common(1)]
            return IdfError(
                f"The reference {shorten(p.name for p in self.config.reference)} matches no face "
                f"in {where}", max(near),
                "use a frontal photo of someone who is in it, or lower --similarity")
        counts = Counter(row["status"] for row in rows)
        return IdfError(f"No frame of {where} could be swapped",
                        shorten(f"{n} {s}" for s, n in counts.items()),
                        "check that it shows a face, larger than about 64 pixels")


def media_notes(pictures: Sequence[Path]) -> list[str]:
    """Return what is done on reading to the files of a target, in words: to some of them, evenly
    spread, where there are many."""
    found: Counter[str] = Counter()
    chosen = pictures[::-(-len(pictures) // LOOKED_AT)] if pictures else []
    for path in chosen:
        with contextlib.suppress(IdfError):  # whoever reads it says what is wrong with it
            if is_video(path) or is_animation(path):
                found.update(video_info(path).notes)
            else:
                found.update(picture_notes(path, "target picture").values())
    if len(pictures) == 1:
        return list(found)
    return [f"of the pictures, {n} of {len(chosen)} looked at: {note}"
            for note, n in found.items()]


def _of_sources(source, faces: Sequence[SourceFace]) -> list[str]:
    given = source if isinstance(source, (list, tuple)) else [source]
    return [f"the source {face.name}: {note}" for one, face in zip(given, faces, strict=True)
            for about, note in picture_notes(one, "source photo").items()
            if about in ("count", "cmyk")]


def check_swap(source, consent: str, footage: Path) -> bytes:
    """Check a photo and the consent before frames are made of footage that then get its face;
    return the photo's bytes. IdfError: bad photo, no consent."""
    photos, _ = read_sources(source, None)
    pictures = [p for p in footage.iterdir() if is_image(p)] if footage.is_dir() else [footage]
    provenance.require_consent(consent, photos, pictures)
    return photos[0]


def read_sources(source, face: int | None) -> tuple[list[bytes], tuple[SourceFace, ...]]:
    """Return the bytes of one photo or several (paths or bytes), and the face in each; face: which
    one. IdfError as `load_source`, and where no photo shows more than half of its face."""
    given = list(source) if isinstance(source, (list, tuple)) else [source]
    if not given:
        raise IdfError("No source photo is given", "an empty list", "give --source PHOTO")
    faces = tuple(load_source(s, face=face) for s in given)
    turned = min(abs(f.landmarks.yaw) for f in faces)
    if turned > PROFILE:
        one = len(faces) == 1
        raise IdfError(
            f"The source photo {faces[0].name} shows a face from the side" if one
            else "All source photos show a face from the side",
            f"turned by about {turned:.0f} degrees" + ("" if one else " and more"),
            "use a photo of someone who looks at the camera, or is turned by at most "
            f"{PROFILE:.0f} degrees")
    return [photo_bytes(s) for s in given], faces


def photo_bytes(source) -> bytes:
    """Return a photo's bytes (given as such, or as a path); IdfError where it cannot be read."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    path = Path(os.fspath(source))
    if not os.path.isfile(path):  # Path.is_file raises where a folder may not be looked into
        read_image(path, "source photo")  # says what is wrong with it
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdfError(f"The source photo {path} cannot be read", str(error),
                       "check that file's permissions, or copy it") from None


def identity(photos: list[bytes], config: SwapConfig) -> dict:
    """Return what distinguishes these source and reference photos from others."""
    hashes = [sha256_bytes(p) for p in photos]
    out = {"source_sha256": hashes[0] if len(hashes) == 1 else stable_hash(hashes)}
    if config.reference:
        out["references"] = [sha256_bytes(photo_bytes(p)) for p in config.reference]
    return out
