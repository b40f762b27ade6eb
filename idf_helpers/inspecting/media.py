"""Videos and pictures looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data.contact_sheet import contact_sheet
from ..data.footage import Source
from ..data.media import read_image, video_info
from ..data.picture_file import picture_notes
from ..face.detector import LandmarkDetector
from ..face.downloads import FACE_LANDMARKS
from ..face.landmarks import FaceLandmarks
from ..provenance import verify
from ..runtime import download
from .inspection import Inspection

SHEET = 12  # frames of a video on its contact sheet
FOREHEAD, CHIN = 10, 152  # of the 468 points
TURNED = 20.0  # degrees from which it is told
SMALL = 96  # pixels of a face below which too little is seen


def inspect_video(path: Path) -> Inspection:
    """Return what a video's header says, and a contact sheet of frames over its length."""
    info, source = video_info(path), Source(path)
    count = source.count()
    rows = [("picture", f"{info.width}x{info.height} pixels"),
            ("frames", f"{count}, {info.fps:g} a second, {count / max(info.fps, 1e-9):.1f} s"),
            ("sound", "yes" if info.sound else "none"),
            ("range", "high (HDR), brought into that of pictures" if info.hdr else "standard"),
            *_marks(path)]
    doubts = ["the picture is small: faces will have few pixels"] \
        if max(info.width, info.height) < 320 else []

    def sheet() -> np.ndarray:
        found = list(source.frames(max(1, count // SHEET), SHEET))
        return contact_sheet([f for _, f in found], cell=200,
                             captions=[f"{n / max(info.fps, 1e-9):.1f} s" for n, _ in found])

    return Inspection("video", str(path), rows, [
        *info.notes,
        "a talking head: idf track or idf make; a turn round a still head: idf capture"],
        doubts, {"contact_sheet.png": sheet})


def inspect_picture(path: Path) -> Inspection:
    """Return what a picture is, and the faces in it where the networks for that are there."""
    image = read_image(path)
    h, w = image.shape[:2]
    rows = [("picture", f"{w}x{h} pixels, {path.suffix.lower().lstrip('.') or 'no suffix'}"),
            ("alpha", "yes" if image.shape[2] == 4 else "none"),
            ("size", f"{path.stat().st_size / 1e3:.0f} kB")]
    notes, doubts = list(picture_notes(path).values()), []
    if download.is_present(FACE_LANDMARKS):
        faces = LandmarkDetector().detect(np.ascontiguousarray(image[..., :3]))
        sizes = [float(np.ptp(f.points[:, 0])) for f in faces]
        rows.append(("faces", "none" if not faces else ", ".join(
            f"{s:.0f} pixels wide" + (f", turned by {a:.0f}°" if abs(a) > TURNED else "")
            for s, a in zip(sizes, map(roll, faces), strict=True))))
        if not faces:
            doubts.append("no face is found in it")
        elif max(sizes) < SMALL:
            doubts.append(f"the face is small: {max(sizes):.0f} pixels; {SMALL} and more give a "
                          "good swap")
        elif len(faces) > 1:
            notes.append("as a photo to swap from, give one with one face; as a target, --target "
                         "chooses")
    else:
        notes.append("faces were not looked for: their networks are not here "
                     "(idf download face_landmarks)")
    return Inspection("picture", str(path), [*rows, *_marks(path)], notes, doubts)


def roll(face: FaceLandmarks) -> float:
    """Return by how many degrees a face is turned in the picture's plane, clockwise; 0: upright."""
    forehead, chin = face.points[FOREHEAD, :2], face.points[CHIN, :2]
    down = chin - forehead
    return float(np.degrees(np.arctan2(-down[0], down[1])))


def _marks(path: Path) -> list[tuple[str, str]]:
    """Return a line on what the file says of its origin."""
    return [("origin", str(verify(path)).splitlines()[0].removeprefix(f"{path}: ")[:200])]
