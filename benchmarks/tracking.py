"""The tracker against the truth: expressions, head pose, field of view, time, memory.

    python benchmarks/tracking.py                  the bundled talking head
    python benchmarks/tracking.py --pack PACK      and clips of drawn heads, none of which the face
                                                   model was measured on; their eyes look about
    python benchmarks/tracking.py --gaze FOLDER…   and pictures of assets/render/render_gaze.py

Correlations are between the weights that were rendered and those tracked, left and right averaged.
The pose is compared after one constant turn between both head frames, which says what each calls
"straight ahead"; the error without it stands beside. Gaze: angle between where both eyes were made
to look and where they are found to, in frames in which they are open; the bundled head's eyes look
straight ahead. Limits: jaw, smile and brows >= 0.85, blinks >= 0.7, pose <= 3 degrees, gaze <= 6.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scipy.spatial.transform import Rotation

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.machine import cpu_count, cpu_name, peak_rss_mb
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.fit import fit_clip
from idf_helpers.tracking.pose_check import check_poses
from idf_helpers.tracking.track import track

GROUPS = {  # what is compared, and the limit of the correlation
    "jaw": (("jawOpen",), 0.85), "smile": (("mouthSmile_L", "mouthSmile_R"), 0.85),
    "brows up": (("browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R"), 0.85),
    "brows down": (("browDown_L", "browDown_R"), 0.85),
    "blink": (("eyeBlink_L", "eyeBlink_R"), 0.7), "pucker": (("mouthPucker",), None),
    "funnel": (("mouthFunnel",), None), "wide eyes": (("eyeWide_L", "eyeWide_R"), None),
    "sneer": (("noseSneer_L", "noseSneer_R"), None)}
POSE_LIMIT, GAZE_LIMIT = 3.0, 6.0
OPEN = 0.4  # weight of a blink below which an eye looks somewhere
PERFORMANCE = 280  # frames of the bundled sequence; a rehearsal of single expressions follows
TO_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def compare(name, got, weights, names, rotations, found) -> None:
    """Prints one clip's rows. got: (N, E) tracked; weights: (N, E) true; rotations, found: (N, 3,
    3) camera axes in the head's frame, true and tracked."""
    print(f"\n{name}: {len(got)} frames")
    print("| expression | true, standard deviation | tracked | correlation | limit | |")
    print("|---|---|---|---|---|---|")
    for group, (members, limit) in GROUPS.items():
        k = [names.index(n) for n in members]
        a, b = weights[:, k].mean(1), got[:, k].mean(1)
        if a.std() < 0.02:
            continue
        r = float(np.corrcoef(a, b)[0, 1]) if b.std() > 0 else 0.0
        verdict = "reported" if limit is None else "ok" if r >= limit else "MISSED"
        print(f"| {group} | {a.std():.2f} | {b.std():.2f} | {r:.2f} | {limit or ''} | {verdict} |")
    turn = Rotation.from_matrix(found) * Rotation.from_matrix(rotations).inv()
    plain = np.degrees(turn.magnitude())
    rest = np.degrees((turn.mean().inv() * turn).magnitude())
    verdict = "ok" if rest.mean() <= POSE_LIMIT else "MISSED"
    print(f"pose error, degrees: mean {rest.mean():.2f}, 95 % {np.quantile(rest, 0.95):.2f} "
          f"(with the constant turn {plain.mean():.2f}, {np.quantile(plain, 0.95):.2f}); "
          f"limit {POSE_LIMIT:g}: {verdict}")


def compare_gaze(got, true, blink) -> None:
    """got, true: (N, 2) degrees to the head's left and up; blink: (N,) true weight."""
    off = (np.asarray(got) - true)[np.asarray(blink) < OPEN]
    angle = np.hypot(*off.T)
    verdict = "ok" if angle.mean() <= GAZE_LIMIT else "MISSED"
    print(f"gaze error, degrees: mean {angle.mean():.1f}, median {np.median(angle):.1f} (to the "
          f"sides {np.abs(off[:, 0]).mean():.1f}, up and down {np.abs(off[:, 1]).mean():.1f}); "
          f"limit {GAZE_LIMIT:g}: {verdict}")


def looks(rng, count: int) -> np.ndarray:
    """(count, 2) degrees: rests of 4 to 20 frames."""
    rests = [np.tile(rng.uniform((-26, -16), (26, 14)), (int(rng.integers(4, 21)), 1))
             for _ in range(count)]
    return np.concatenate(rests)[:count]


def rendered(folder: Path) -> None:
    """Pictures of `assets/render/render_gaze.py`."""
    truth = json.loads((folder / "truth.json").read_text())
    pictures = [media.read_image(p) for p in sorted(folder.glob("[0-9]*.png"))]
    detector = LandmarkDetector()
    faces = [detector.detect(p)[0] for p in pictures]
    height, width = pictures[0].shape[:2]
    track = fit_clip(np.array([f.points for f in faces]), width, height, TrackConfig(
        fov=29.0, smoothing=0), iris=np.array([f.iris for f in faces]))
    n = len(faces)
    print(f"\nrendered eyes, {folder.name}: {n} frames")
    blink = np.array(truth["blink"][:n])
    compare_gaze(track.gaze, np.array(truth["gaze"][:n]), blink)
    lids = [track.names.index(f"eyeBlink_{s}") for s in "LR"]
    r = np.corrcoef(track.expressions[:, lids].mean(1), blink)[0, 1]
    print(f"blink: r = {r:.2f}, limit 0.7: {'ok' if r >= 0.7 else 'MISSED'}")


def bundled(folder: Path, count: int | None, name: str) -> None:
    """The talking head's first `count` frames, by the command's own function, from its pictures."""
    data = samples.dataset("head_talking")
    frames = sorted(data.frames, key=lambda f: f.name[-4:])[:count]
    pictures = folder / "pictures"
    pictures.mkdir()
    for i, f in enumerate(frames):
        (pictures / f"{i:04d}.png").symlink_to(f.path)
    started, cpu = time.perf_counter(), time.process_time()
    tracked = track(pictures, folder / "run", TrackConfig(fov=29.0, overlay=False))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    number = [int(f.name[-5:]) for f in tracked.frames]
    truth = np.array([frames[i].expression for i in number])
    compare(f"{name}, field of view given",
            np.array([f.expression for f in tracked.frames]), truth, list(data.expression_names),
            np.array([frames[i].camera.c2w[:3, :3] for i in number]),
            np.array([f.camera.c2w[:3, :3] for f in tracked.frames]))
    with np.load(folder / "run" / "track.npz") as z:
        gaze = z["gaze"][number]
    blinks = truth[:, list(data.expression_names).index("eyeBlink_L")]
    compare_gaze(gaze, np.zeros((len(number), 2)), blinks)
    print(f"{len(number)} of {len(frames)} frames used; {seconds:.0f} s wall, {cpu:.0f} s CPU: "
          f"{1000 * cpu / len(frames):.0f} ms CPU a frame; peak memory {peak_rss_mb():.0f} MB")
    report = check_poses(data.frames, names=data.expression_names)
    print(f"overlay check of the bundled poses: {report.median:.2f} % of the face's width; "
          f"of the tracked: {check_poses(tracked.frames).median:.2f} % (limit {report.limit:g})")


def drawn(pack: str, seeds, count: int) -> None:
    """Clips of heads drawn from the pack: the bundled sequence's performance, other faces."""
    sys.path.insert(0, str(ROOT / "assets" / "face"))
    from gaze import looking
    from heads import CENTER, DISTANCE, FOV_X, DrawnHeads, draw_look

    from idf_helpers.data.cameras import Camera

    heads, detector = DrawnHeads(pack), LandmarkDetector()
    data = samples.dataset("head_talking")
    frames = sorted(data.frames, key=lambda f: f.name[-4:])[:PERFORMANCE]
    frames = [frames[i] for i in np.linspace(0, len(frames) - 1, count).astype(int)]
    names = list(data.expression_names)
    for seed in seeds:
        neutral, look = heads.identity(seed), draw_look(seed)
        points, irises, axes, pictures = [], [], [], []
        gaze = looks(np.random.default_rng(seed), count)
        for f, g in zip(frames, gaze, strict=True):
            c2w = np.eye(4)
            c2w[:3, :3] = TO_WORLD.T @ f.camera.c2w[:3, :3]
            c2w[:3, 3] = CENTER + TO_WORLD.T @ f.camera.position * DISTANCE / 0.5
            weights = dict(zip(names, f.expression[:len(names)], strict=True))
            picture = heads.draw(looking(heads, neutral, weights, [g] * 2),
                                 Camera.from_fov(c2w, FOV_X, 256, 256), look)
            found = detector.detect(picture)
            points.append(found[0].points if found else np.full((468, 3), np.nan))
            irises.append(found[0].iris if found else np.full((10, 3), np.nan))
            axes.append(c2w[:3, :3])
            pictures.append(picture)
        for fov in (29.0, 0.0):
            track = fit_clip(np.array(points), 256, 256, TrackConfig(fov=fov),
                             pictures=pictures.__getitem__, iris=np.array(irises))
            if fov:
                u = track.used
                compare(f"drawn head {seed}, field of view given", track.expressions[u],
                        np.array([f.expression[:len(names)] for f in frames])[u], names,
                        np.array(axes)[u], np.transpose(track.poses[u, :3, :3], (0, 2, 1)))
                blinks = [f.expression[names.index("eyeBlink_L")] for f in frames]
                compare_gaze(track.gaze[u], gaze[u], np.array(blinks)[u])
            else:
                print(f"field of view estimated: {track.fov:.1f} degrees (true 29)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", help="folder of a head pack")
    parser.add_argument("--heads", type=int, default=3, help="drawn heads")
    parser.add_argument("--frames", type=int, default=140, help="of each drawn head's clip")
    parser.add_argument("--first", type=int, default=9000, help="number of the first drawn head")
    parser.add_argument("--gaze", type=Path, nargs="*", default=(), help="of render_gaze.py")
    args = parser.parse_args()
    print(f"{cpu_name()}, {cpu_count()} cores")
    for count, name in ((PERFORMANCE, "bundled talking head"),
                        (None, "the same with its rehearsal")):
        with tempfile.TemporaryDirectory() as folder:
            bundled(Path(folder), count, name)
    for folder in args.gaze:
        rendered(folder)
    if args.pack:
        drawn(args.pack, range(args.first, args.first + args.heads), args.frames)


if __name__ == "__main__":
    main()
