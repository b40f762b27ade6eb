"""The swap of videos and talking heads: how well the face is followed, memory, time.

    python benchmarks/video_swap.py [--frames 1000] [--sheet FOLDER]

Frontal clip: the bundled talking head, 256², as a video without its cameras. Landmark error: mean
distance of the 468 points found in the swapped frame from those found in the target's, over the
eye distance; mouth and eyes: correlation of the openings of both over the frames. Shake: how far
points at rest (forehead, temples, bridge of the nose) of what is painted move against the mean of
their neighbors in time, after the head's own motion is taken out.
Memory: peak of this process while it swaps 512² videos of one and of four parts of --frames frames;
flat means that the longer one takes no more. Times on a shared machine are upper bounds.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro

from idf_helpers.data import media, samples
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.data.sequence import frame_times
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.mesh import FaceMesh
from idf_helpers.face.smooth import steady
from idf_helpers.notebook.video_panel import bundled_clip
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping.config import SwapConfig, VideoConfig
from idf_helpers.swapping.dataset import swap_dataset
from idf_helpers.swapping.mesh.mesh_tracking import Tracks
from idf_helpers.swapping.metrics import border_edges, color_spread, visible_points
from idf_helpers.swapping.uv_method import MESH_FILE, TRACKS_FILE
from idf_helpers.swapping.video import swap_video

CONSENT = "Synthetic heads that show no real person."
ONE = """
import sys
from idf_helpers.runtime.machine import peak_rss_mb
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.video import swap_video
video, photo, out, backend = sys.argv[1:]
swap_video(video, photo, out, SwapConfig(backend), consent="Synthetic, no real person.")
print(peak_rss_mb())
"""


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    frames: int = 1000
    """Of the long video."""
    sheet: Path | None = None
    """Folder for a contact sheet of each swapped clip; none where not given."""


def main(options: Options) -> None:
    print(f"{cpu_name()}, {cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        followed(Path(folder), options.sheet)
        sequence(Path(folder))
        smoothing(Path(folder))
        memory(Path(folder), options.frames)


def table(rows) -> None:
    print(f"{'what':52} {'measured':>9}  limit")
    for what, value, sign, limit in rows:
        good = value <= limit if sign == "<=" else value >= limit
        print(f"{what:52} {value:9.3f}  {sign} {limit:g}  {'ok' if good else 'MISSED'}")


def followed(folder: Path, sheet: Path | None) -> None:
    clip = bundled_clip(folder / "talk.mp4", 280)
    index, detector = index_video(clip), LandmarkDetector()
    before = [f.copy() for f in read_frames(clip, index)][::3]
    found = [detector.detect(f)[0] for f in before]
    rows = []
    for backend in ("mesh", "uv"):
        start = time.process_time()
        result = swap_video(clip, samples.photo("C"), folder / backend, SwapConfig(backend),
                            VideoConfig(label=False), consent=CONSENT)
        spent = time.process_time() - start
        after = [f.copy() for f in read_frames(result, index_video(result))][::3]
        pairs = [(p, q[0]) for p, f in zip(found, after, strict=True)
                 if (q := detector.detect(f))]
        eye = np.array([p.eye_distance for p, _ in pairs])
        error = np.array([np.linalg.norm(p.xy - q.xy, axis=1).mean() for p, q in pairs]) / eye

        def alike(a, b, pairs=pairs, eye=eye):
            gaps = [[np.linalg.norm(f.xy[a] - f.xy[b]) for f in pair] for pair in pairs]
            return float(np.corrcoef((np.array(gaps) / eye[:, None]).T)[0, 1])

        rows += [(f"{backend}: landmark error, % of eye distance", 100 * error.mean(), "<=", 2),
                 (f"{backend}: the same, 95th percentile", 100 * np.percentile(error, 95), "<=", 4),
                 (f"{backend}: correlation of the mouth's opening", alike(13, 14), ">=", 0.98),
                 (f"{backend}: correlation of the eyes' opening", alike(159, 145), ">=", 0.85),
                 (f"{backend}: frames in which the face is found", len(pairs) / len(found), ">=",
                  0.99)]
        print(f"{backend}: {len(index)} frames, {1000 * spent / len(index):.0f} ms CPU a frame, "
              "finding faces and encoding included")
        if sheet:
            media.write_image(sheet / f"video_{backend}.png", contact_sheet(
                [x for pair in zip(before[::6], after[::6], strict=True) for x in pair], 8, 200))
    table(rows)


def sequence(folder: Path) -> None:
    """The bundled NeRFace sequence: how much the color of a point of the moving face changes from
    frame to frame, before and after."""
    data = samples.dataset("head_talking")
    out = swap_dataset(data, samples.photo("C"), folder / "sequence")
    rest, tracks = FaceMesh.load(out.root / MESH_FILE), Tracks.load(out.root / TRACKS_FILE)
    inner = np.setdiff1d(np.arange(468), border_edges(rest.triangles).ravel())
    views = []
    for a, b in list(zip(data.frames, out.frames, strict=True))[::4]:
        mesh, before, after = tracks.mesh(rest, a.name), a.image(), b.image()
        at, ok = visible_points(a.camera, mesh.vertices[inner], mesh.normals[inner], mesh.vertices,
                                mesh.triangles)
        k = np.clip(np.nan_to_num(at), 0, np.array(before.shape[1::-1]) - 1).astype(int)
        # The inside of what was swapped: as far as a face's tenth from any unchanged pixel.
        changed = (before != after).any(-1).astype(np.uint8)
        solid = cv2.erode(cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5))),
                          np.ones((9, 9))) > 0
        views.append((before, after, at, ok & solid[k[:, 1], k[:, 0]]))
    spread = [color_spread((v[p], *v[2:]) for v in views) for p in (0, 1)]
    print(f"\nNeRFace sequence, {len(data.frames)} frames: color spread of points of the face "
          f"{spread[0]:.2f} before, {spread[1]:.2f} after")


def smoothing(folder: Path) -> None:
    """GHOST's mean of five frames, and ours, on landmarks of the clip against none."""
    frames = samples.dataset("head_talking").frames
    times = frame_times([f.name for f in frames])
    frames = [frames[i] for i in np.argsort(times)[:280]]  # the performance: one take
    detector = LandmarkDetector()
    points = np.stack([detector.detect(f.image())[0].xy for f in frames]).astype(np.float64)
    eye = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    points = points / eye[:, None, None]
    points -= points.mean(1, keepdims=True)  # the head's own motion is smoothed apart
    gap = np.linalg.norm(points[:, 13] - points[:, 14], axis=1)
    print(f"\n{'landmarks of the clip':30} {'shake, % of eye distance':>26}  mouth kept")
    times = np.arange(len(points))
    still = [10, 151, 9, 8, 168, 6, 127, 356, 162, 389]
    for name, config in (("as found", (0,)), ("mean of five (GHOST)", (2, 1e6)),
                         ("mean within the noise (ours)", (2,))):
        out = steady(points, times, *config)
        shake = (out[1:-1] - 0.5 * (out[:-2] + out[2:]))[:, still]
        opened = np.linalg.norm(out[:, 13] - out[:, 14], axis=1)
        quick = np.abs(np.diff(gap)) > np.percentile(np.abs(np.diff(gap)), 90)
        kept = np.abs(np.diff(opened))[quick].sum() / np.abs(np.diff(gap))[quick].sum()
        print(f"{name:30} {100 * shake.std():26.3f}  {100 * kept:.0f} % of its quickest changes")


def memory(folder: Path, frames: int) -> None:
    clip = bundled_clip(folder / "talk.mp4", 280)
    small = [f.copy() for f in read_frames(clip, index_video(clip))]
    rows, peaks = [], []
    for n in (frames // 4, frames):
        path = folder / f"long_{n}.mp4"
        with media.video_writer(path, 25) as video:
            for k in range(n):  # to and fro, so that there is no cut
                i = k % (2 * len(small) - 2)
                video.append(media.resize_area(small[min(i, 2 * len(small) - 2 - i)], 512, 512))
        start = time.perf_counter()
        out = folder / f"out_{n}"
        done = subprocess.run([sys.executable, "-c", ONE, str(path), str(samples.photo("C")),
                               str(out), "uv"], capture_output=True, text=True, check=True)
        peaks.append(float(done.stdout.split()[-1]))
        print(f"{n} frames of 512², uv, one process: {time.perf_counter() - start:.0f} s wall, "
              f"peak {peaks[-1]:.0f} MB")
        shutil.rmtree(out)
    rows = [(f"peak memory of {frames} frames of 512², MB", peaks[1], "<=", 700),
            ("more than a quarter of the frames takes, MB", peaks[1] - peaks[0], "<=", 60)]
    table(rows)


if __name__ == "__main__":
    main(tyro.cli(Options))
