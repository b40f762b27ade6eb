"""How the talking head moves: expression weights and head pose of every frame. Needs numpy alone.

Two pieces follow one another in `head_talking`: a performance drawn from a seed, and a rehearsal,
the same for every seed, that shows each expression by itself. An avatar can only be asked for
what its training frames have shown, so whoever records a head does well to end with such a part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pack import REST


def both(**weights: float) -> dict[str, float]:
    """The same weight on the head's left and right."""
    return {f"{k}_{side}": w for k, w in weights.items() for side in "LR"}


GAZE_DEGREES = 60.0  # head yaw at which the eyes' own turn is at weight 1
FACES = (  # what a talking head goes through
    REST,
    both(mouthSmile=0.9, cheekSquint=0.6, mouthUpperUp=0.25, eyeSquint=0.25) | {"jawOpen": 0.16},
    {"jawOpen": 0.65} | both(mouthSmile=0.1),
    {"mouthPucker": 0.8},
    both(browInnerUp=0.7, browOuterUp=0.6, eyeWide=0.6) | {"jawOpen": 0.35},
    both(browDown=0.8, noseSneer=0.4) | {"mouthFunnel": 0.4, "jawOpen": 0.2},
)
REHEARSED = (  # one shape after another, by itself; what eyes and mouth do most often twice
    {}, {"jawOpen": 0.8}, both(mouthSmile=0.9), both(eyeBlink=1), {"mouthPucker": 0.9},
    both(browInnerUp=0.9), {"browOuterUp_L": 1}, {"browOuterUp_R": 1}, both(browDown=0.9),
    both(eyeWide=0.8), {"jawOpen": 0.45}, both(eyeBlink=1), both(noseSneer=0.8),
    {"mouthFunnel": 0.8}, both(mouthUpperUp=0.7), both(mouthLowerDown=0.7), REST,
    {"eyeBlink_L": 1}, {"eyeBlink_R": 1}, both(eyeLookUp=0.7), both(eyeLookDown=0.7),
    {"eyeLookIn_L": 0.6, "eyeLookOut_R": 0.6}, {"eyeLookOut_L": 0.6, "eyeLookIn_R": 0.6},
    both(cheekSquint=0.8, eyeSquint=0.5), both(mouthFrown=0.8), both(mouthStretch=0.8),
)
REHEARSED_FOR = 4  # frames from one face to the next


@dataclass(frozen=True)
class Moves:
    """What the head does, one entry a frame.

    faces: expression weights by name, 0..1, zeros left out. yaw, pitch, roll: (F,) degrees of the
    head in the room. shift: (F, 3) of its center, Blender units.
    """

    faces: list[dict[str, float]]
    yaw: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray
    shift: np.ndarray

    def head(self, t: int, center: np.ndarray) -> np.ndarray:
        """(4, 4) pose of the head in the room at frame t, turning about `center` (3,)."""
        out = np.eye(4)
        out[:3, :3] = _turn(2, self.yaw[t]) @ _turn(0, self.pitch[t]) @ _turn(1, self.roll[t])
        out[:3, 3] = center + self.shift[t] - out[:3, :3] @ center
        return out


def performed(rng: np.random.Generator, frames: int) -> Moves:
    """Slow turns while the face changes every 14 frames, drawn from `rng`."""
    yaw, pitch, roll = (_smooth_track(rng, frames, a) for a in (23.0, 10.0, 7.0))
    shift = np.stack([_smooth_track(rng, frames, a) for a in (0.09, 0.03, 0.035)], axis=1)
    return Moves(_expressions(rng, frames, yaw), yaw, pitch, roll, shift)


def rehearsed() -> Moves:
    """REHEARSED in turn while the head swings a little further than a performance's does. The
    three periods have no common measure with that of the faces, so that no face comes with one
    pose alone."""
    count = (len(REHEARSED) - 1) * REHEARSED_FOR + 1
    faces = []
    for t in range(count):
        k, x = divmod(t, REHEARSED_FOR)
        x = _smoothstep(x / REHEARSED_FOR)
        faces.append(_mix(REHEARSED[k], REHEARSED[min(k + 1, len(REHEARSED) - 1)], x))
    t = 2 * math.pi * np.arange(count)
    swing = np.stack([0.09 * np.sin(t / 53), 0.03 * np.sin(t / 37), 0.035 * np.sin(t / 61)], axis=1)
    return Moves(faces, 25 * np.sin(t / 41), 11.5 * np.sin(t / 29.3) + 3.0, 7 * np.sin(t / 67.1),
                 swing)


def _smoothstep(x: float) -> float:
    return x * x * (3 - 2 * x)


def _mix(a: dict[str, float], b: dict[str, float], x: float) -> dict[str, float]:
    """(1 - x) a + x b, zeros left out."""
    mixed = {n: round((1 - x) * a.get(n, 0.0) + x * b.get(n, 0.0), 5) for n in a | b}
    return {n: w for n, w in mixed.items() if w > 0}


def _turn(axis: int, degrees: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.eye(3)
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _smooth_track(rng, frames: int, amplitude: float) -> np.ndarray:
    """(frames,) a sum of slow sines within +-amplitude, periods of 75 to 210 frames."""
    t = np.arange(frames)
    waves = [a * np.sin(2 * math.pi * (t / rng.uniform(75, 210) + rng.random()))
             for a in (0.6, 0.4)]
    return amplitude * np.sum(waves, axis=0)


def _expressions(rng, frames: int, yaw: np.ndarray) -> list[dict[str, float]]:
    """Weights per frame: a face every 14 frames with smooth crossings, blinks, a steady gaze."""
    every = 14
    order = [int(rng.integers(len(FACES))) for _ in range(frames // every + 2)]
    blinks = np.cumsum(rng.integers(30, 60, size=frames // 30 + 1))
    out = []
    for t in range(frames):
        k, x = divmod(t, every)
        w = _mix(FACES[order[k]], FACES[order[k + 1]], _smoothstep(x / every))
        lid = max(0.0, 1.0 - np.abs(blinks - t).min() / 3)
        if lid:
            w |= both(eyeBlink=round(lid, 5))
        # The eyes turn against the head, toward the camera, by part of its yaw: a head turned to
        # its left (yaw > 0) looks right, with the left eye inwards and the right eye outwards.
        inward, outward = ("L", "R") if yaw[t] > 0 else ("R", "L")
        gaze = round(min(1.0, abs(float(yaw[t])) / GAZE_DEGREES), 5)
        w |= {f"eyeLookIn_{inward}": gaze, f"eyeLookOut_{outward}": gaze}
        out.append({n: v for n, v in w.items() if v > 0})
    return out
