"""How steady the swap of a clip is: flicker, lips, identity, time.

    python benchmarks/video_steadiness.py --clips A.mp4 B.mp4 --sources A.jpg B.jpg
        [--frames 90] [--backends mesh uv] [--packages FOLDER FOLDER] [--sheet FOLDER]
        [--identity-weights FOLDER]

Without clips: the bundled talking head. --packages: folders of other versions of `idf_helpers`,
swapped with and measured beside this one.

    flicker     how much the face changes from frame to frame in a way that is not motion: mean
                absolute second difference in time |x(t-1) - 2 x(t) + x(t+1)| of its lightness
                (CIE L*, 0-100) over all its points that look at the camera, without eyes and mouth;
                what the original has is taken off. Points are fetched in the face's own frame:
                every frame is laid out on the mean face by the original's landmarks, smoothed over
                five frames, which are the same before and after.
    wide        the same of lightness blurred by 8 % of the face: light that pulses
    pop         99th percentile over the frames of what a frame's own wide flicker exceeds the
                original's by
    mouth, eyes correlation of the openings before and after, over all frames
    lips        mm that the lips move away from the target's expression (fitted face model, mean)
    id          mean distance of the result's identity to the source's, and how much it trembles:
                standard deviation within the clip
    ms          of processor time a frame of the swap itself, all preparation left out
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from idf_helpers.data import media, samples
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.face import topology
from idf_helpers.face.color import blur, fill_rings, rgb_to_lab
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.downloads import IDENTITY
from idf_helpers.face.fidelity import expression_error, fit_faces
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.identity import IdentityNet, identity_distance
from idf_helpers.face.landmarks import FaceLandmarks, vertex_facing
from idf_helpers.face.raster import rasterize
from idf_helpers.face.shape_fit import guessed_lens
from idf_helpers.face.smooth import steady
from idf_helpers.notebook.video_panel import bundled_clip
from idf_helpers.runtime.download import missing
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping.metrics import eye_opening, mouth_opening
from idf_helpers.swapping.source import SourceFace, load_source

SIDE = 160  # pixels of the picture that a face is laid out in
WIDE = 0.08  # of the face: blur of `wide`
FACING = 0.4  # cosine to the camera from which a point counts
SOME = 6  # every so manieth frame is looked at for identity and lips
SWAP = """
import sys, time
from pathlib import Path
from idf_helpers.swapping.config import SwapConfig, VideoConfig
from idf_helpers.swapping.video import swap_video
import idf_helpers.swapping.{module} as module
video, photo, out = sys.argv[1:]
spent, whole = [], module.{swapper}.__call__
def timed(self, image, camera):
    start = time.process_time()
    result = whole(self, image, camera)
    spent.append(time.process_time() - start)
    return result
module.{swapper}.__call__ = timed
swap_video(video, photo, out, SwapConfig("{backend}"), VideoConfig(label=False, crf=8),
           consent="Made to measure the program.")
print(1000 * sorted(spent)[len(spent) // 2])
"""
SWAPPERS = {"mesh": ("mesh_method", "FollowingMeshSwapper"), "uv": ("uv_method", "UvSwapper")}
COLUMNS = ("flicker", "wide", "pop", "mouth", "eyes", "lips", "id", "id std", "lost", "ms")


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    clips: tuple[Path, ...] = ()
    """Videos; none = the bundled talking head."""
    sources: tuple[Path, ...] = ()
    """A photo for each."""
    frames: int = 90
    """Of each clip, at most."""
    start: int = 0
    """First of them."""
    backends: tuple[str, ...] = ("mesh", "uv")
    packages: tuple[Path, ...] = ()
    """Folders of other versions."""
    identity_weights: Path | None = None
    """Folder of the network's two files; none where `idf download identity` has them."""
    sheet: Path | None = None
    """Folder for frames side by side, and for frames in a row."""


@dataclass(frozen=True, eq=False)
class Original:
    """A clip before the swap: frames, the face in each (None = not found), and its landmarks,
    smoothed, (N, 468, 3)."""

    frames: list[np.ndarray]
    faces: list[FaceLandmarks | None]
    points: np.ndarray

    @classmethod
    def of(cls, frames, detector: LandmarkDetector) -> Original:
        faces = [next(iter(detector.detect(f)), None) for f in frames]
        points = np.stack([np.full((468, 3), np.nan) if f is None else f.points for f in faces])
        return cls(frames, faces, steady(points, np.arange(len(points)), 2, 1e6))


def laid_out(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lightness of a face laid out on the mean face, (SIDE, SIDE) float32, and where it
    looks at the camera, bool; eyes and mouth are left out."""
    rest = FaceModel.load().rest
    place = rest[:, :2] * (1, -1)
    place = (place - place.min(0)) / np.ptp(place, axis=0).max() * (SIDE - 2) + 1
    values = np.column_stack([points[:, :2], vertex_facing(points)])
    drawn, ids, _ = rasterize(topology.TRIANGLES, place, -rest[:, 2], values, SIDE, SIDE)
    rings = (topology.LEFT_EYE, topology.RIGHT_EYE, topology.OUTER_LIPS)
    closed = cv2.dilate(fill_rings([place[r] for r in rings], SIDE, SIDE), np.ones((5, 5)))
    # Averaged over what a cell covers, so that sharpness of the landmarks counts little.
    cell = np.ptp(points[:, 1]) / SIDE
    lightness = rgb_to_lab(image)[..., 0]
    if cell > 1:
        lightness = cv2.GaussianBlur(lightness, (0, 0), 0.5 * cell)
    out = cv2.remap(lightness, (drawn[..., :2] - 0.5).astype(np.float32), None, cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_REPLICATE)
    return out, (ids >= 0) & (drawn[..., 2] > FACING) & (closed < 0.5)


def flicker(frames, points) -> np.ndarray:
    """Return (N - 2, 2): fine and wide flicker of each frame that has neighbors, NaN where a face
    is missing. frames: pictures; points: (N, 468, 3)."""
    rows, last = [], []
    for image, p in zip(frames, points, strict=True):
        if not np.isfinite(p).all():
            last = []
            rows.append((np.nan, np.nan))
            continue
        value, there = laid_out(image, p)
        m = there.astype(np.float32)
        wide = blur(value * m, WIDE * SIDE) / np.maximum(blur(m, WIDE * SIDE), 1e-3)
        last = [*last[-2:], (value, wide, there)]
        if len(last) < 3:
            rows.append((np.nan, np.nan))
            continue
        both = last[0][2] & last[1][2] & last[2][2]
        rows.append(tuple(np.abs(last[0][k] - 2 * last[1][k] + last[2][k])[both].mean()
                          for k in (0, 1)))
    return np.array(rows[2:])


def figures(original: Original, after, source: SourceFace, net: IdentityNet | None,
            detector: LandmarkDetector) -> dict[str, float]:
    """Return COLUMNS but the time."""
    before, now = (flicker(f, original.points) for f in (original.frames, after))
    faces = [next(iter(detector.detect(f)), None) for f in after]
    pairs = [(a, b) for a, b in zip(original.faces, faces, strict=True) if a and b]
    out = dict(zip(("flicker", "wide"), np.nanmean(now - before, axis=0), strict=True))
    out["pop"] = np.nanpercentile((now - before)[:, 1], 99)
    for name, opening in (("mouth", mouth_opening), ("eyes", eye_opening)):
        out[name] = np.corrcoef([[opening(f) for f in p] for p in pairs], rowvar=False)[0, 1]
    some = pairs[::SOME]
    lens = [guessed_lens(*original.frames[0].shape[1::-1])] * len(some)
    was = fit_faces([a for a, _ in some], lens)
    fits = zip(was, fit_faces([b for _, b in some], lens, was), strict=True)
    out["lips"] = np.mean([expression_error(a, b) for a, b in fits if a and b])
    out["id"] = out["id std"] = np.nan
    if net:
        own = net.embed(source.image, source.landmarks)
        near = [identity_distance(net.embed(f, x), own) for f, x in zip(after, faces, strict=True)
                if x][::SOME]
        out["id"], out["id std"] = np.mean(near), np.std(near)
    out["lost"] = sum(f is not None for f in original.faces) - len(pairs)
    return out


def swapped(clip: Path, photo: Path, out: Path, backend: str, package: Path) -> float:
    """Swap with a version of the program, in a process of its own; return ms a frame."""
    module, swapper = SWAPPERS[backend]
    code = SWAP.format(module=module, swapper=swapper, backend=backend)
    done = subprocess.run([sys.executable, "-c", code, str(clip), str(photo), str(out)],
                          capture_output=True, text=True, cwd=package,
                          env=os.environ | {"PYTHONPATH": str(package)})
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return float(done.stdout.split()[-1])


def part_of(clip: Path, out: Path, start: int, count: int) -> Path:
    """Return the frames of a clip that are measured, as one of their own."""
    index = index_video(clip)
    with media.video_writer(out, index.fps, crf=8) as video:
        for frame in read_frames(clip, index, start, min(start + count, len(index))):
            video.append(frame[:len(frame) // 2 * 2, :frame.shape[1] // 2 * 2])
    return out


def frames_of(clip: Path) -> list[np.ndarray]:
    return [f.copy() for f in read_frames(clip, index_video(clip))]


def sheets(folder: Path, name: str, before, after: dict[str, list], points) -> None:
    """Write frames all over the clip, and ten in a row, face by face."""
    center, half = np.nanmean(points[..., :2], axis=(0, 1)), 0.8 * np.nanmean(
        np.ptp(points[..., :2], axis=1))
    low = np.clip(center - half, 0, None).astype(int)
    high = (center + half).astype(int)
    for kind, rows in (("all", np.linspace(0, len(before) - 1, 8).astype(int)),
                       ("row", np.arange(len(before) // 2, len(before) // 2 + 8))):
        cells = [f[i][low[1]:high[1], low[0]:high[0]] for f in (before, *after.values())
                 for i in rows if i < len(before)]
        media.write_image(folder / f"{name}_{kind}.png", contact_sheet(cells, 8, 240))


def main(options: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} cores")
    here = Path(__file__).resolve().parent.parent
    detector = LandmarkDetector()
    net = None
    if options.identity_weights or not missing(IDENTITY):
        net = IdentityNet(options.identity_weights).open()
    print("| clip | swap | " + " | ".join(COLUMNS) + " |\n" + "| --- " * (2 + len(COLUMNS)) + "|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pairs = zip(options.clips, options.sources, strict=True) if options.clips else [
            (bundled_clip(folder / "bundled.mp4", 280), samples.photo("C"))]
        for clip, photo in pairs:
            short = part_of(clip, folder / f"part_{clip.stem}.mp4", options.start, options.frames)
            original, after = Original.of(frames_of(short), detector), {}
            source = load_source(photo, detector)
            for backend in options.backends:
                for package in (*options.packages, here):
                    name = backend if package == here else f"{backend}, {package.name}"
                    out = folder / f"{clip.stem}_{len(after)}"
                    ms = swapped(short, photo.resolve(), out, backend, package.resolve())
                    after[name] = frames_of(out / short.name)
                    row = figures(original, after[name], source, net, detector) | {"ms": ms}
                    print(f"| {clip.stem} | {name} | "
                          + " | ".join(f"{row[c]:.3f}" for c in COLUMNS) + " |", flush=True)
            if options.sheet:
                options.sheet.mkdir(parents=True, exist_ok=True)
                sheets(options.sheet, clip.stem, original.frames, after, original.points)


if __name__ == "__main__":
    main(tyro.cli(Options))
