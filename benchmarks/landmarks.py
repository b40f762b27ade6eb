"""Face landmarks: cost, views found by yaw, false faces, error in pixels, steadiness, roll.

    python benchmarks/landmarks.py [--repeat 3] [--portraits FOLDER]

On the sample heads. Cost is process CPU time of `detect` on decoded pictures, models already open.
The error is that of the eye and mouth corners against the head's exact geometry, as a share of the
eye distance. Steadiness is how far the points move against the picture when it is shifted by parts
of a pixel, reduced, compressed, mirrored, leaned or blurred; right at any roll is a face whose
points are where they are in the upright picture, in twelve turns of it. Both on the bundled photos
or on pictures of one person each that you bring; these are neither kept nor shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from idf_helpers.data import media, samples
from idf_helpers.data.media import IMAGE_SUFFIXES, over_gray
from idf_helpers.face import topology
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.runtime.machine import cpu_count, cpu_name

# iBUG-68 numbers of the ground truth and the mesh points at the same place.
SAME_POINTS = {36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291}
BANDS = ((0, 30), (30, 60), (60, 75), (75, 90), (90, 110), (110, 181))
LONGEST = 640  # px, larger portraits are reduced
PARTS = {"all": np.arange(topology.POINTS),
         "eyes": np.concatenate([topology.LEFT_EYE, topology.RIGHT_EYE]),
         "mouth": np.concatenate([topology.OUTER_LIPS, topology.INNER_MOUTH]),
         "oval": topology.FACE_OVAL}


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    repeat: int = 3
    """How often to go through the views for the timing; the fastest round counts."""
    portraits: Path | None = None
    """Folder whose pictures (and those in its folders) are looked at for steadiness and roll; None
    = the bundled photos."""


def main(options: Options) -> None:
    detector = LandmarkDetector()
    against_truth(detector, options.repeat)
    if options.portraits is None:
        files = [samples.photo(n) for n in ("B", "C", "B_three_quarter")]
    else:
        files = sorted(p for p in options.portraits.rglob("*")
                       if p.suffix.lower() in IMAGE_SUFFIXES)
    steadiness(detector, files)


def against_truth(detector: LandmarkDetector, repeat: int) -> None:
    data = samples.dataset("head_multiview")
    truth = np.load(samples.path("head_multiview") / "ground_truth.npz")["landmarks68"]
    frames = list(data.frames)
    images = [f.image() for f in frames]
    yaws = np.abs([head_yaw(f.camera) for f in frames])
    detector.detect(images[0])
    costs = []
    for _ in range(repeat):
        rows = []
        for image in images:
            start = time.process_time()
            found = detector.detect(image)
            rows.append((time.process_time() - start, found))
        costs.append([c for c, _ in rows])
    cost = 1000 * np.array(costs)[np.argmin(np.sum(costs, axis=1))]
    faces = [found for _, found in rows]

    print(f"{cpu_name()}, {cpu_count()} cores, OpenCV {cv2.__version__}, "
          f"{len(frames)} views of {images[0].shape[1]}x{images[0].shape[0]}\n")
    print("|yaw| deg   views   found   corner error mean / p95, % of eye distance")
    for low, high in BANDS:
        here = np.flatnonzero((yaws >= low) & (yaws < high))
        errors = []
        for i in here:
            for face in faces[i]:
                pixels, _ = frames[i].camera.project(truth)
                errors += [np.linalg.norm(face.xy[m] - pixels[b]) / face.eye_distance
                           for b, m in SAME_POINTS.items()]
        text = (f"{100 * np.mean(errors):5.1f} / {100 * np.percentile(errors, 95):.1f}"
                if errors and high <= 90 else "-")
        print(f"{low:4}-{high:<4} {len(here):8} {sum(len(faces[i]) for i in here):7}   {text}")

    near, back = yaws <= 60, yaws >= 110
    with_face = np.array([bool(f) for f in faces])
    checks = (
        ("CPU ms an image with a face", cost[with_face].mean(), "<=", 30.0),
        ("CPU ms an image without one", cost[~with_face].mean(), "<=", 30.0),
        ("% of views within 60 deg found", 100 * with_face[near].mean(), ">=", 95.0),
        ("back views (>= 110 deg)", float(back.sum()), ">=", 20.0),
        ("faces on back views", float(sum(len(faces[i]) for i in np.flatnonzero(back))), "<=", 0.0),
    )
    print()
    for what, value, sign, limit in checks:
        good = value <= limit if sign == "<=" else value >= limit
        print(f"{what:34} {value:8.2f}   limit {sign} {limit:g}   {'ok' if good else 'MISSED'}")


def steadiness(detector: LandmarkDetector, files: list[Path]) -> None:
    moved: dict[str, list[list[float]]] = {}
    right = turns = seen = 0
    for file in files:
        image = over_gray(media.read_image(file, "portrait"))
        scale = min(1.0, LONGEST / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = detector.detect(image, max_faces=2)
        if len(found) != 1:
            print(f"{file.name}: {len(found)} faces, left out")
            continue
        seen += 1
        face = found[0]
        for name, (picture, back) in changes(image, face).items():
            for other in detector.detect(picture):
                apart = np.linalg.norm(back(other.xy) - face.xy, axis=1) / face.eye_distance
                moved.setdefault(name, []).append([100 * apart[p].mean() for p in PARTS.values()])
        for degrees in range(-150, 181, 30):
            picture, M = leaned(image, degrees, whole=True)
            wanted = face.xy @ M[:, :2].T + M[:, 2]
            there = detector.detect(picture, max_faces=2)
            turns += 1
            right += len(there) == 1 and bool(np.linalg.norm(there[0].xy - wanted, axis=1).mean()
                                              < 0.1 * face.eye_distance)
    print(f"\npoints moved against {seen} pictures, % of eye distance: {', '.join(PARTS)}")
    for name, rows in moved.items():
        print(f"{name:24} found {len(rows):4}   "
              + "  ".join(f"{v:5.2f}" for v in np.mean(rows, axis=0)))
    print(f"right at any roll, % of {turns}: {100 * right / max(turns, 1):.1f}")


def changes(image: np.ndarray, face: FaceLandmarks
            ) -> dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]]:
    """Return changed pictures by name, each with what takes points in it to where they were."""
    h, w = image.shape[:2]
    aside = np.float32([[1, 0, 3.4], [0, 1, -2.3]])
    small = cv2.resize(image, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    ratio = np.array(small.shape[1::-1]) / (w, h)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1],
                        cv2.IMREAD_COLOR)
    lean, M = leaned(image, 8)
    inverse = np.linalg.inv(M[:, :2])
    soft = cv2.GaussianBlur(image, (0, 0), max(0.6, 0.012 * face.size))
    return {
        "shift by (3.4, -2.3) px": (cv2.warpAffine(image, aside, (w, h),
                                                   borderMode=cv2.BORDER_REPLICATE),
                                    lambda xy: xy - aside[:, 2]),
        "0.9 of the size": (small, lambda xy: xy / ratio),
        "JPEG, quality 60": (jpeg, lambda xy: xy),
        "mirrored": (np.ascontiguousarray(image[:, ::-1]),
                     lambda xy: xy[topology.MIRROR] * (-1, 1) + (w, 0)),
        "leaned by 8 degrees": (lean, lambda xy: (xy - M[:, 2]) @ inverse.T),
        "blurred": (soft, lambda xy: xy)}


def leaned(image: np.ndarray, degrees: float, whole: bool = False):
    """Return a picture turned clockwise, and the (2, 3) matrix that takes its points along. whole:
    larger, with nothing cut off, on gray; else of the same size, with its border carried on."""
    h, w = image.shape[:2]
    width, height = [int(np.ceil(np.hypot(h, w)))] * 2 if whole else (w, h)
    M = cv2.getRotationMatrix2D((w / 2 - 0.5, h / 2 - 0.5), -degrees, 1)
    M[:, 2] += ((width - w) / 2, (height - h) / 2)
    out = cv2.warpAffine(image, M, (width, height), flags=cv2.INTER_CUBIC,
                         borderMode=cv2.BORDER_CONSTANT if whole else cv2.BORDER_REPLICATE,
                         borderValue=(110, 110, 110))
    # OpenCV counts pixels from their centers, landmarks from their corners.
    return out, np.column_stack([M[:, :2], M[:, 2] + 0.5 - M[:, :2] @ (0.5, 0.5)])


def head_yaw(camera) -> float:
    """Degrees of the camera around the sample head, 0 in front (it looks to -y, z is up)."""
    x, y, _ = camera.position
    return float(np.degrees(np.arctan2(x, -y)))


if __name__ == "__main__":
    main(tyro.cli(Options))
