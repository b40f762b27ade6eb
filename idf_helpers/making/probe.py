"""Looks at footage, some frames over its length: a turn round a still head, or a talking head?

A head that is turned by more than a talking one turns, or is seen from behind, and whose mouth
keeps still, is a turn; a mouth that moves is a talking head. The mouth is measured by the linear
face model, so that a turned head does not count as a changed expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from ..data.cameras import fitted_size
from ..data.contact_sheet import contact_sheet
from ..data.ffmpeg import decode
from ..data.footage import Source
from ..data.media import over_gray, read_image, resize_area, video_info
from ..errors import IdfError
from ..face.detector import LandmarkDetector
from ..face.fidelity import expression_error, fit_faces, head_yaw
from ..face.landmarks import FaceLandmarks
from ..face.shape_fit import guessed_lens
from ..runtime.progress import Reporter
from .moments import clock, moments
from .target import NAMES

FRAMES = 24  # looked at, evenly over the footage
SIZE = 480  # longer side at which they are looked at, pixels
FRONTAL = 35.0  # degrees of yaw within which a mouth is measured
# Mouths of talking people (nine clips) differ from their median by 9 to 25 mm in the tenth of the
# frames that differ most, those of still heads (three turns) by 1.1 to 1.5.
MOVES = 4.0
TURN = 90.0  # degrees of yaw from one end to the other that no talking head had (2 to 47)
HALF_TURN = 50.0
BESIDE = 0.5  # size of a second face over the first, from which it is a second person
SMALL = 96.0  # pixels of a face below which too little is seen
DARK = 45.0  # gray level of a face
SHORT_S = 8.0
ROUND = np.array([0.7, 0.8, 0.7, 0.6])  # left, above, right and below of faces, in their heights
MOST = 0.8  # share of the picture above which it is not worth to crop

Kind = Literal["turn", "talk"]


@dataclass(frozen=True)
class Look:
    """What footage was taken for.

    why: what was seen. otherwise: how to say that it is something else. doubts: plain sentences.
    measures: frames looked at and with a face, `yaw` [min, max] in degrees, `mouth_mm` by which the
    mouth moves (None: too few frames show it from the front), `face_px` of the whole picture.
    crop: x0, y0, x1, y1 of the part round the head, pixels of the footage, where that is clearly
    less than the whole; else nothing.
    """

    kind: Kind
    why: str
    otherwise: str
    doubts: tuple[str, ...]
    measures: dict
    crop: tuple[int, ...] = ()

    def as_dict(self) -> dict:
        """Return plain values, for `read`."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict) -> Look:
        """Return what `as_dict` gave."""
        return cls(**{**values, "doubts": tuple(values["doubts"]), "crop": tuple(values["crop"])})


@dataclass(frozen=True, eq=False)
class _Seen:
    """One frame: where in the footage, the picture (uint8 RGB), its faces, clearest first."""

    when: str
    time: float
    picture: np.ndarray
    faces: list[FaceLandmarks]


def look_at(footage: Source, told: Kind | None = None, reporter: Reporter | None = None
            ) -> tuple[Look, np.ndarray]:
    """Look at footage; return what it is and a contact sheet of the frames (uint8 RGB).

    told: what the user says that it is; it is looked at all the same.

    IdfError: no frame shows a face, or most show two people of about one size.
    """
    reporter = reporter or Reporter()
    detector, seen = LandmarkDetector(), []
    for when, time, picture in spread(footage):
        seen.append(_Seen(when, time, picture, detector.detect(picture, max_faces=3)))
        reporter.step("looking at the target", min(len(seen) / FRAMES, 1.0))
    if not seen:
        raise IdfError(f"{footage.path} has no frames", "0 frames", "check that it plays")
    there = [s for s in seen if s.faces]
    if not there:
        raise IdfError(f"No face was found in {footage.path}", f"{len(seen)} frames over its "
                       "length, none with a face", "give footage of one person's head, well lit, "
                       "the face larger than about 100 pixels")
    pairs = [s for s in there if len(s.faces) > 1 and s.faces[1].size > BESIDE * s.faces[0].size]
    if len(pairs) > len(there) / 2:
        raise IdfError(f"{footage.path} shows two people or more",
                       f"a second face in {len(pairs)} of {len(there)} frames looked at",
                       "film one person, or crop the footage to one: ffmpeg -i VIDEO -vf "
                       "crop=WIDTH:HEIGHT:X:Y one.mp4")
    yaws, mouth = _yaws_and_mouth(seen)
    scale = _whole_size(footage) / max(seen[0].picture.shape[:2])
    face = scale * float(np.median([s.faces[0].size for s in there]))
    span = float(np.ptp(yaws[np.isfinite(yaws)])) if np.isfinite(yaws).any() else 0.0
    kind, why, unsure = _decide(seen, span, mouth)
    doubts = [*unsure, *_doubts(footage, seen, pairs, face)]
    if told and told != kind:
        doubts.insert(0, f"You said that this is {NAMES[told]}; it looks like {NAMES[kind]}: "
                      f"{why}.")
    other = "talk" if kind == "turn" else "turn"
    rounded = [round(float(v)) for v in (np.nanmin(yaws), np.nanmax(yaws))] \
        if np.isfinite(yaws).any() else None
    otherwise = f"if it is {NAMES[other]} instead, add --as {other}"
    look = Look(told or kind, why, otherwise, tuple(doubts), {
        "frames": len(seen), "with_face": len(there), "yaw": rounded, "face_px": round(face),
        "mouth_mm": None if mouth is None else round(mouth, 1)}, _crop(there, scale))
    captions = [s.when + ("" if s.faces else "  no face") for s in seen]
    return look, contact_sheet([s.picture for s in seen], columns=8, captions=captions)


def spread(footage: Source, count: int = FRAMES) -> Iterator[tuple[str, float, np.ndarray]]:
    """Yield (where it is in words, seconds or number, uint8 RGB of SIZE) of frames that lie evenly
    over the footage, at most `count`."""
    if footage.pictures:
        numbers = np.unique(np.linspace(0, len(footage.pictures) - 1, count).round().astype(int))
        for number in numbers:
            path = footage.pictures[number]
            rgb = over_gray(read_image(path, "frame"))
            size = fitted_size(rgb.shape[1], rgb.shape[0], min(SIZE, max(rgb.shape[:2])))
            yield path.stem, float(number), np.ascontiguousarray(resize_area(rgb, *size))
        return
    info = video_info(footage.path)
    longer = max(info.width, info.height)
    w, h = fitted_size(info.width, info.height, min(SIZE, longer))
    step = max(info.duration / count, 0.04)
    if info.animation:
        for number, rgb in footage.frames(-(-footage.count() // count)):
            yield clock(number / info.fps), number / info.fps, resize_area(rgb, w, h)
        return
    choose = f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,{step:.4f})'"
    filters = (choose, *info.filters, f"scale={w}:{h}:flags=area")
    options = ("-vf", ",".join(filters), "-fps_mode", "passthrough")
    for i, data in enumerate(decode(footage.path, w * h * 3, options)):
        if i >= count:  # a header that says nothing of the length
            return
        yield clock(i * step), i * step, np.frombuffer(data, np.uint8).reshape(h, w, 3)


def _whole_size(footage: Source) -> int:
    """Longer side of the footage's frames, pixels."""
    if footage.pictures:
        return max(read_image(footage.pictures[0], "frame").shape[:2])
    info = video_info(footage.path)
    return max(info.width, info.height)


def _yaws_and_mouth(seen: list[_Seen]) -> tuple[np.ndarray, float | None]:
    """Return the yaw of each frame in degrees, NaN without a face, and how far the mouth moves in
    mm; None where fewer than three frames show it from the front."""
    faces = [s.faces[0] if s.faces else None for s in seen]
    fits = fit_faces(faces, [guessed_lens(*s.picture.shape[1::-1]) for s in seen])
    yaws = np.array([np.nan if f is None else head_yaw(f.pose) for f in fits])
    front = [f for f, yaw in zip(fits, yaws, strict=True) if f is not None and abs(yaw) < FRONTAL]
    if len(front) < 3:
        return yaws, None
    opened = [f.weight_of("jaw").sum() for f in front]
    middle = front[int(np.argsort(opened)[len(front) // 2])]
    return yaws, float(np.percentile([expression_error(middle, f) for f in front], 90))


def _decide(seen: list[_Seen], span: float, mouth: float | None) -> tuple[Kind, str, list[str]]:
    """Return the kind, why, and what is unsure about it."""
    blind = sum(not s.faces for s in seen) / len(seen)
    turned = span >= TURN or blind >= 0.15 and span >= HALF_TURN
    moves = mouth is not None and mouth >= MOVES
    words = f"the head is seen over {span:.0f}°"
    if turned and blind >= 0.15:
        words += " and from behind"
    words += ", the mouth moves" if moves else ", the mouth keeps still" if mouth is not None \
        else ""
    if turned and moves:
        return "turn", words, [
            "The head turns far, and the mouth moves too: in a turn the whole head must keep still,"
            " or the face comes out blurred."]
    if turned or span >= HALF_TURN and not moves:
        return "turn", words, [] if turned else [
            f"The turn shows only {span:.0f}°: the sides of the head that no frame shows are "
            "made up."]
    if moves:
        return "talk", words, []
    return "talk", words, [
        f"Hardly anything moves: the head by {span:.0f}°, the mouth by "
        f"{mouth or 0:.0f} mm. An avatar can only do what the footage shows."]


def _doubts(footage: Source, seen: list[_Seen], pairs: list[_Seen], face: float) -> list[str]:
    out, there = [], [s for s in seen if s.faces]
    if pairs:
        out.append("A second person is in the picture at " + moments(s.when for s in pairs) + ".")
    if face < SMALL:
        out.append(f"The face is only {face:.0f} pixels high: go closer, or film at a higher "
                   "resolution.")
    cut = [s for s in there if _is_cut(s.faces[0], s.picture)]
    if len(cut) > len(there) / 5:
        out.append("Chin, forehead or cheek are cut off by the edge of the picture at "
                   + moments(s.when for s in cut) + ".")
    dark = [s for s in there if _light(s.faces[0], s.picture) < DARK]
    if len(dark) > len(there) / 3:
        out.append("The face is dark: turn toward a window or a lamp.")
    if not footage.pictures and 0 < (length := video_info(footage.path).duration) < SHORT_S:
        out.append(f"The video is only {length:.0f} s long; 20 to 30 s show more.")
    if footage.pictures and len(footage.pictures) < FRAMES:
        out.append(f"There are only {len(footage.pictures)} pictures; 40 and more are better.")
    return out


def _crop(there: list[_Seen], scale: float) -> tuple[int, ...]:
    """Return a square round all faces seen, with hair, neck and some room to move; nothing where
    it would be most of the picture. scale: pixels of the footage over those looked at."""
    boxes = np.array([s.faces[0].box for s in there])
    face = np.median(boxes[:, 3] - boxes[:, 1])
    low, high = boxes[:, :2].min(0) - ROUND[:2] * face, boxes[:, 2:].max(0) + ROUND[2:] * face
    h, w = there[0].picture.shape[:2]
    side = min(float((high - low).max()), w, h)
    if side * side > MOST * w * h:
        return ()
    x, y = np.clip((low + high - side) / 2, 0, [w - side, h - side])
    x, y, side = (2 * int(scale * v / 2) for v in (x, y, side))  # even, for videos of it
    return x, y, x + side, y + side


def _is_cut(face: FaceLandmarks, picture: np.ndarray) -> bool:
    x0, y0, x1, y1 = face.box
    slack = 0.03 * face.size
    return bool(x0 < -slack or y0 < -slack or x1 > picture.shape[1] + slack
                or y1 > picture.shape[0] + slack)


def _light(face: FaceLandmarks, picture: np.ndarray) -> float:
    x0, y0, x1, y1 = np.clip(face.box, 0, [*picture.shape[1::-1]] * 2).astype(int)
    part = picture[y0:y1, x0:x1]
    return float(np.median(part.max(-1))) if part.size else 255.0
