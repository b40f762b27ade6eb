"""The 52 expression scores of a face, from its points and irises, by a small network.

It is MediaPipe's blendshape model (Apache-2.0), the third in the file that the landmarks come from;
it sees 146 of the 478 points and no picture. What it says of lids and mouths is good on real faces;
brows, sneers and puffed cheeks it hardly ever sees.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import IdfError
from ..runtime import download
from .downloads import FACE_LANDMARKS
from .topology import IRIS_POINTS, POINTS

NETWORK = 2  # row of FACE_LANDMARKS.pins
_SEEN = np.array([int(n) for n in """0 1 4 5 6 7 8 10 13 14 17 21 33 37 39 40 46 52 53 54 55 58 61
63 65 66 67 70 78 80 81 82 84 87 88 91 93 95 103 105 107 109 127 132 133 136 144 145 146 148 149 150
152 153 154 155 157 158 159 160 161 162 163 168 172 173 176 178 181 185 191 195 197 234 246 249 251
263 267 269 270 276 282 283 284 285 288 291 293 295 296 297 300 308 310 311 312 314 317 318 321 323
324 332 334 336 338 356 361 362 365 373 374 375 377 378 379 380 381 382 384 385 386 387 388 389 390
397 398 400 402 405 409 415 454 466 468 469 470 471 472 473 474 475 476 477""".split()])
NAMES = tuple("""_neutral browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight
cheekPuff cheekSquintLeft cheekSquintRight eyeBlinkLeft eyeBlinkRight eyeLookDownLeft
eyeLookDownRight eyeLookInLeft eyeLookInRight eyeLookOutLeft eyeLookOutRight eyeLookUpLeft
eyeLookUpRight eyeSquintLeft eyeSquintRight eyeWideLeft eyeWideRight jawForward jawLeft jawOpen
jawRight mouthClose mouthDimpleLeft mouthDimpleRight mouthFrownLeft mouthFrownRight mouthFunnel
mouthLeft mouthLowerDownLeft mouthLowerDownRight mouthPressLeft mouthPressRight mouthPucker
mouthRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthSmileLeft
mouthSmileRight mouthStretchLeft mouthStretchRight mouthUpperUpLeft mouthUpperUpRight noseSneerLeft
noseSneerRight""".split())
ON_RAMP = (0.4031, 0.0121)  # scores of both eyes' blink where point k lies at (2 k, 2 k + 1)


def scores(points, iris) -> np.ndarray:
    """Return (N, 52) float32 in [0, 1], columns `NAMES`.

    points: (N, 468, 2 or more) and iris: (N, 10, 2 or more) pixels of upright faces; rows of NaN
    give NaN. IdfError: the network is not downloaded, or OpenCV cannot run it.
    """
    seen = np.concatenate([np.asarray(points, np.float32)[..., :2],
                           np.asarray(iris, np.float32)[..., :2]], 1)
    if seen.shape[1] != POINTS + IRIS_POINTS:
        raise ValueError(f"{seen.shape[1]} points")
    seen = np.ascontiguousarray(seen[:, _SEEN])
    out = np.full((len(seen), len(NAMES)), np.nan, np.float32)
    there = np.flatnonzero(np.isfinite(seen).all((1, 2)))
    if len(there):
        net = _network()
        for i in there:
            out[i] = _forward(net, seen[i])
    return out


def _forward(net, seen) -> np.ndarray:
    net.setInput(seen[None])
    return net.forward().reshape(-1)


def _network():
    folder = Path(download.path(FACE_LANDMARKS))
    file = download.located(folder, FACE_LANDMARKS.pins[NETWORK])
    engine = getattr(cv2.dnn, "ENGINE_CLASSIC", None)
    ramp = np.arange(2 * len(_SEEN), dtype=np.float32).reshape(-1, 2)
    try:
        net = cv2.dnn.readNetFromTFLite(str(file), *(() if engine is None else (engine,)))
        blinks = _forward(net, ramp)[9:11]
    except cv2.error as error:
        raise IdfError(f"OpenCV {cv2.__version__} cannot run the expression model in {folder}",
                       str(error)[:300],
                       "needs OpenCV 4.12 or newer and: idf download face_landmarks") from error
    if np.abs(blinks - ON_RAMP).max() > 1e-3:
        raise IdfError(f"OpenCV {cv2.__version__} does not run the expression model correctly",
                       f"on known points it gives {blinks.round(4)}, not {ON_RAMP}",
                       "install another: pip install 'opencv-python-headless<5.1'")
    return net
