"""What speaks against a tracked clip as material for an avatar, in plain sentences."""

from __future__ import annotations

import numpy as np

from ..face.frame_landmarks import MoreSeen
from .background import Background
from .fit import Track, rotation_vector

SECONDS = 10.0  # of a face: with less an avatar has seen little
OTHERS = 0.05  # share of the frames with another face that is worth a word
LOST = 0.05  # share of the frames without a face, the same
STILL = 0.4  # gray levels of the picture from frame to frame, and…
NO_TURN, NO_FACE = 0.3, 0.03  # degrees, and weights: less is no motion of a head
SMALL = 70.0  # pixels of the face's width
MOUTH = 0.12  # weight of the jaw that a clip should reach
CAMERA, ZOOM = 0.02, 0.03  # share of the picture's width, and logarithm of a scale
ROOM = 0.1  # share of the room that does not keep still


def doubts(track: Track, points, more: MoreSeen, numbers, fps: float, take: slice, starts,
           room: Background | None, width: int, height: int) -> list[str]:
    """Return the sentences, what matters most first; [] = nothing to say.

    points: (N, 468, 3) as they were found, before a take was chosen. numbers: (N,) of the frames in
    the video, which has `fps` of them a second. take: rows that were used; starts: where others
    begin.
    room: what was found behind the person, None = given by the user.
    """
    out, n = [], len(numbers)
    there = np.isfinite(np.asarray(points)[..., :2]).all((1, 2))
    inside = np.zeros(n, bool)
    inside[take] = True
    if starts:
        where = ", ".join(_time(numbers[k], fps) for k in starts[:5])
        out.append(f"The video is cut, or jumps closer, at {where}"
                   + (f" and {len(starts) - 5} more places" if len(starts) > 5 else "")
                   + f". Only its longest part was taken, {_span(numbers, take, fps)}.")
    moving = np.nanmedian(more.change[take][1:]) if inside.sum() > 1 else 0.0
    poses = track.poses[track.used][:, :3, :3]
    turn = np.degrees([np.linalg.norm(rotation_vector(p @ poses[0].T)) for p in poses])
    if np.nan_to_num(moving) < STILL and np.max(turn) < NO_TURN \
            and track.expressions[track.used].std(0).max() < NO_FACE:
        out.append("Nothing moves: this is a still picture shown as a video. An avatar learns from "
                   "a face that talks and turns.")
    share = (more.others[inside] > 0).mean()
    if share > OTHERS:
        first = points[np.flatnonzero(there & inside)[0]]
        x = float(first[:, 0].mean()) / width
        side = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
        out.append(f"More than one face is seen in {_percent(share)} of the frames. The one that "
                   f"was followed is at first in the {side} of the picture, at "
                   f"{_time(numbers[take][0], fps)}.")
    gone = _runs(~there & inside)
    share = (~there & inside).sum() / max(inside.sum(), 1)
    if share > LOST:
        longest = max(gone, key=len)
        out.append(f"No face, or not the one that is followed, is seen in {_percent(share)} of the "
                   f"frames, for longest at {_span(numbers, longest, fps)}.")
    seconds = track.used.sum() * float(np.median(np.diff(numbers)) if n > 1 else 1) / fps
    if seconds < SECONDS:
        out.append(f"The face is seen for {seconds:.1f} seconds only. The avatar knows no more "
                   "than what it has seen: 15 to 60 seconds of talking are better.")
    xy = np.asarray(points, np.float64)[there & inside][..., :2]
    wide = float(np.median(np.ptp(xy[..., 0], axis=1)))
    if wide < SMALL:
        out.append(f"The face is small, {wide:.0f} pixels wide: come closer, or crop the video.")
    cut_off = ((xy < 0) | (xy > (width, height))).any((1, 2)).mean()
    if cut_off > 0.1:
        out.append(f"The face reaches out of the picture in {_percent(cut_off)} of the frames.")
    jaw = track.expressions[track.used][:, track.names.index("jawOpen")]
    if np.quantile(jaw, 0.98) < MOUTH and not any(s.startswith("Nothing moves") for s in out):
        out.append("The mouth hardly opens: the avatar will not learn how it looks when it does.")
    if room is not None:
        out += _about_room(room)
    return out


def _about_room(room: Background) -> list[str]:
    out = []
    if room.moving > ROOM / 3 and (room.shift > CAMERA or abs(np.log(room.zoom)) > ZOOM):
        what = "zooms" if abs(np.log(room.zoom)) > ZOOM and room.shift < 3 * CAMERA else "moves"
        out.append(f"The camera {what}: the room behind the head shifts by "
                   f"{_percent(room.shift)} of the picture's width and grows by a factor of "
                   f"{room.zoom:.2f}. A phone that stands still makes a better avatar.")
    elif room.moving > ROOM:
        out.append(f"The background moves in {_percent(room.moving)} of what is seen of it.")
    if not room.masked:
        out.append("The person was told from the background by the face alone, roughly: with "
                   "`idf download person_mask` the outline is found.")
    return out


def _time(number, fps: float) -> str:
    return f"{float(number) / fps:.1f} s"


def _span(numbers, rows, fps: float) -> str:
    some = np.asarray(numbers)[rows]
    return f"{float(some[0]) / fps:.1f} to {float(some[-1]) / fps:.1f} s"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _runs(mask) -> list[np.ndarray]:
    """Row numbers of each unbroken run of True."""
    index = np.flatnonzero(mask)
    return np.split(index, np.flatnonzero(np.diff(index) > 1) + 1) if len(index) else []
