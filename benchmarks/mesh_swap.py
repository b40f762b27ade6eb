"""The per-frame swap: cost of a 512x512 frame, what changes, what stays.

    python benchmarks/mesh_swap.py [--pictures FOLDER]

Frames are the sample head's views enlarged to 512x512 (face about 290 px) and the photos. Cost is
process CPU time of `swap_mesh`, landmarks already known; finding them is shown beside it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from landmarks import head_yaw

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping.mesh.per_picture import swap_mesh, swap_picture
from idf_helpers.swapping.metrics import hog_similarity
from idf_helpers.swapping.source import load_source


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    size: int = 512
    """Side of a frame in pixels."""
    pictures: Path | None = None
    """Folder for a sheet of swaps: the view, then each source, from the front to the side."""


def main(options: Options) -> None:
    detector = LandmarkDetector()
    sources = {name: load_source(samples.photo(name), detector) for name in ("B", "C")}
    frames = list(samples.dataset("head_multiview").frames)
    yaws = np.array([head_yaw(f.camera) for f in frames])
    images = [media.resize_area(f.image(), options.size, options.size) for f in frames]
    print(f"{cpu_name()}, {cpu_count()} cores, OpenCV {cv2.__version__}, "
          f"{len(frames)} views at {options.size}x{options.size}\n")

    found_ms, costs, sizes, nearer, errors, statuses = [], [], [], [], [], []
    broken = 0
    for image, yaw in zip(images, yaws, strict=True):
        start = time.process_time()
        faces = detector.detect(image)
        found_ms.append(1000 * (time.process_time() - start))
        for name, source in sources.items():
            if not faces:
                result = swap_picture(image, source, detector)
            else:
                swap_mesh(image, faces[0], source)
                start = time.process_time()
                result = swap_mesh(image, faces[0], source)
                cost = 1000 * (time.process_time() - start)
            statuses.append((abs(yaw), result.status))
            broken += not np.array_equal(result.image[result.mask == 0], image[result.mask == 0])
            # Alpha moves with the source's shape only.
            own = swap_mesh(image, faces[0], source, 0.0) if faces else result
            broken += not np.array_equal(own.image[..., 3:], image[..., 3:])
            if result.status != "swapped":
                broken += not np.array_equal(result.image, image)
                continue
            costs.append(cost)
            sizes.append(faces[0].size)
            if abs(yaw) <= 30:
                points, wanted = faces[0].points, (source.image, source.landmarks.points)
                nearer.append((name, hog_similarity(image, points, *wanted),
                               hog_similarity(result.image, points, *wanted)))
                again = detector.detect(result.image)
                if again:
                    errors.append(np.linalg.norm(again[0].xy - faces[0].xy, axis=1).mean()
                                  / faces[0].eye_distance)

    print("|yaw| deg   swapped   extreme pose   no face   (both sources)")
    for low, high in ((0, 30), (30, 60), (60, 90), (90, 181)):
        here = [s for y, s in statuses if low <= y < high]
        print(f"{low:4}-{high:<4}" + "".join(f"{here.count(s):11}" for s in
                                             ("swapped", "extreme_pose", "no_face")))
    print("\nHOG similarity of the aligned inner face to the source, views within 30 degrees")
    for name in sources:
        pairs = np.array([p[1:] for p in nearer if p[0] == name])
        print(f"  {name}: unswapped {pairs[:, 0].mean():.3f}, swapped {pairs[:, 1].mean():.3f}")
    better = 100 * np.mean([b > a for _, a, b in nearer])
    checks = (
        (f"CPU ms a frame (face {np.mean(sizes):.0f} px)", float(np.mean(costs)), "<=", 200.0),
        ("CPU ms to find the landmarks", float(np.mean(found_ms)), "<=", 25.0),
        ("% of views nearer to the source", better, ">=", 90.0),
        ("landmarks moved, % of eye distance", 100 * float(np.mean(errors)), "<=", 2.0),
        ("frames changed outside their mask", float(broken), "<=", 0.0),
        ("faces put on back views (>= 110 deg)",
         float(sum(s == "swapped" for y, s in statuses if y >= 110)), "<=", 0.0),
    )
    print()
    for what, value, sign, limit in checks:
        good = value <= limit if sign == "<=" else value >= limit
        print(f"{what:38} {value:8.2f}   limit {sign} {limit:g}   {'ok' if good else 'MISSED'}")
    if options.pictures:
        _sheet(options.pictures / "mesh_swap.png", images, yaws, detector, sources)


def _sheet(path: Path, images, yaws, detector, sources) -> None:
    rows = []
    for wanted in (0, 15, -30, 45, -55):
        image = images[int(np.argmin(np.abs(yaws - wanted)))]
        row = [image] + [swap_picture(image, s, detector).image for s in sources.values()]
        rows.append(np.concatenate([media.to_uint8(media.over(p, (0.8, 0.8, 0.8)))
                                    for p in row], axis=1))
    media.write_image(path, np.concatenate(rows))
    print(f"\n{path}")


if __name__ == "__main__":
    main(tyro.cli(Options))
