"""What stands before a face: how much of it is kept, and how much bare face is kept for nothing.

    python benchmarks/occluders.py [--bare FOLDER] [--covered FOLDER] [--sheet FILE.png]

Things are drawn onto the bundled heads, and onto portraits that the user has (--bare: faces that
nothing hides), so that where they are is known exactly. Per kind:

    found  share of the thing's area, where it lies before the face, that is taken as in front
    extra  share of the rest of the face that is taken as in front too
    kept   share of the thing's pixels that a swap leaves within 3 levels (bundled heads only)

The first lines of each table are the bare faces themselves, as they are, in gray, and as in a dark
room: there all that is found is wrong (but for hair that portraits have at their temples).
--covered: pictures of people who wear or hold something; for those only a sheet can say more.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import tyro

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "assets" / "face")]

import occluders

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.flat import unflatten
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping.in_front import in_front
from idf_helpers.swapping.mesh.per_picture import swap_mesh
from idf_helpers.swapping.source import load_source

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
LARGEST = 640  # px, longer side to which portraits are reduced
LEVELS = 3  # what a kept pixel may differ


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    bare: Path | None = None
    """Folder of portraits that nothing hides."""
    covered: Path | None = None
    """Folder of portraits with something in front of the face."""
    sheet: Path | None = None
    """Where to write what was found, in green, of all portraits; those of --bare worst first."""
    rounds: int = 2
    """Things of each kind drawn onto each face."""
    most: int = 80
    """Portraits looked at of each folder, at most."""


@dataclass(frozen=True)
class Face:
    image: np.ndarray
    landmarks: FaceLandmarks


def bundled(detector) -> list[Face]:
    """Views within 45 degrees of the multi-view head, one expression of the talking one in ten, and
    the source photos."""
    paths = [f.path for f in samples.dataset("head_multiview").frames][::4]
    paths += [f.path for f in samples.dataset("head_talking").frames][::12]
    paths += [samples.photo(name) for name in ("B", "C", "B_three_quarter")]
    return faces_of(paths, detector, 45)


def faces_of(paths, detector, yaw: float = 90) -> list[Face]:
    out = []
    for path in paths:
        image = media.read_image(path)
        if image.shape[2] == 4:
            image = media.to_uint8(media.over(image, (0.6, 0.65, 0.7)))
        scale = min(1.0, LARGEST / max(image.shape[:2]))
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = detector.detect(image)
        if found and found[0].size > 60 and abs(found[0].yaw) < yaw:
            out.append(Face(image, found[0]))
    return out


def gray(image: np.ndarray) -> np.ndarray:
    """A gray copy of more contrast."""
    level = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    level = np.clip(1.15 * (level - 128) + 118, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, -1)


def dark(image: np.ndarray) -> np.ndarray:
    """A copy as of a dark room, with noise."""
    low = 0.35 * 255 * (image / 255.0) ** 1.5
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(np.rint(low + noise), 0, 255).astype(np.uint8)


def pictures(folder: Path, most: int) -> list[Path]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    return paths[::max(1, len(paths) // most)][:most]


def measure(name: str, faces: list[Face], options: Options, source=None) -> None:
    print(f"\n{name}: {len(faces)} faces\n\n| in front | found | extra | kept | said |\n"
          "|---|---|---|---|---|")
    shown = np.ones((128, 128), np.float32)
    areas = [unflatten(shown, f.landmarks, *f.image.shape[:2]) > 0.5 for f in faces]
    for words, changed in (("nothing", lambda image: image), ("nothing, in gray", gray),
                           ("nothing, in the dark", dark)):
        found = [in_front(changed(f.image), f.landmarks) for f in faces]
        wrong = np.array([(o.mask > 0.5)[a].mean() for o, a in zip(found, areas, strict=True)])
        kinds = Counter(kind for o in found for kind in o.kinds)
        print(f"| {words} | – | {100 * wrong.mean():.2f} % (more than 3 % on "
              f"{(wrong > 0.03).sum()} of {len(faces)}) | – | "
              f"{np.mean([bool(o.kinds) for o in found]):.0%}"
              + "".join(f"; {n} {kind}" for kind, n in kinds.most_common()) + " |")
    for kind in occluders.DRAWERS:
        found, extra, kept, said = [], [], [], []
        for n, (face, area) in enumerate(zip(faces, areas, strict=True)):
            for k in range(options.rounds):
                image = face.image.astype(np.float32)
                cover, _ = occluders.draw(kind, image, face.landmarks.xy,
                                          np.random.default_rng([n, k, 99]))
                image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
                thing = (cover > 0.5) & area
                # Its shadow and its own soft rim belong to neither.
                free = area & ~(cv2.dilate((cover > 0.02).astype(np.uint8), np.ones((9, 9))) > 0)
                if thing.sum() < 0.003 * area.sum():
                    continue
                landmarks = face.landmarks
                result = in_front(image, landmarks)
                found.append((result.mask > 0.5)[thing].mean())
                extra.append((result.mask > 0.5)[free].mean() if free.any() else 0.0)
                said.append(bool(result.kinds))
                if source is not None and k == 0:
                    swapped = swap_mesh(image, landmarks, source)
                    away = np.abs(swapped.image.astype(int) - image).max(-1)
                    kept.append((away <= LEVELS)[thing].mean())
        print(f"| {kind} | {100 * np.mean(found):.1f} % | {100 * np.mean(extra):.2f} % | "
              f"{f'{100 * np.mean(kept):.1f} %' if kept else '–'} | {np.mean(said):.0%} |")


def tile(face: Face, size: int = 128) -> np.ndarray:
    """(size, 2 size, 3): the face, and with what is found in green."""
    mask = in_front(face.image, face.landmarks).mask[..., None]
    green = face.image * (1 - 0.6 * mask) + np.array([0, 255, 0]) * 0.6 * mask
    b = face.landmarks.box
    middle, half = (b[:2] + b[2:]) / 2, 0.6 * face.landmarks.size
    M = np.array([[1, 0, half - middle[0]], [0, 1, half - middle[1]]]) * size / (2 * half)
    return np.concatenate([cv2.warpAffine(i.astype(np.uint8), M, (size, size),
                                          flags=cv2.INTER_AREA) for i in (face.image, green)], 1)


def main(options: Options) -> None:
    detector = LandmarkDetector()
    print(f"{cpu_name()}, {cpu_count()} cores")
    heads = bundled(detector)
    measure("bundled heads", heads, replace(options, rounds=1),
            load_source(samples.photo("B"), detector))
    started = time.process_time()
    for _ in range(20):
        in_front(heads[0].image, heads[0].landmarks)
    print(f"\n{50 * (time.process_time() - started):.1f} ms of CPU a face of "
          f"{heads[0].landmarks.size:.0f} px")
    tiles = []
    if options.bare:
        faces = faces_of(pictures(options.bare, options.most), detector)
        measure(str(options.bare.name), faces, options)
        faces.sort(key=lambda f: -in_front(f.image, f.landmarks).mask.sum() / f.landmarks.size**2)
        tiles += [tile(f) for f in faces]
    if options.covered:
        faces = faces_of(pictures(options.covered, options.most), detector)
        tiles += [tile(f) for f in faces]
        named = [", ".join(in_front(f.image, f.landmarks).kinds) or "nothing" for f in faces]
        print(f"\n{options.covered.name}: {len(faces)} faces; " + "; ".join(
            f"{named.count(k)} {k}" for k in sorted(set(named), key=named.count, reverse=True)))
    if options.sheet and tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 6)
        rows = [np.concatenate(tiles[k:k + 6], 1) for k in range(0, len(tiles), 6)]
        media.write_image(options.sheet, np.concatenate(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
