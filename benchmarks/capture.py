"""A capture against the truth: frames with a camera, directions, places, splats, time, memory.

    python benchmarks/capture.py --clips FOLDER [--only walk turn …] [--methods colmap landmarks]
        [--out FOLDER] [--iterations 2000]

FOLDER: of `capture_clips.py`. For each clip and method, one process captures it as `idf capture`
does and a second one trains splats on what came out (256 pixels; every eighth frame is held out;
2000 steps take two minutes where nothing else runs). An output that is there is taken as it is.

    cameras    frames with a camera, of those chosen
    turn       degrees by which cameras point elsewhere, after the similarity that lays their
               centers onto the true ones, and a common turn: median and largest
    place      the same of their centers, per cent of the distance to the head
    world      before any of that: degrees, per cent in size, and per cent of the distance by which
               the head's world is not that of the bundled head
    splats     PSNR of held-out views over white, the frame and inside the mask
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scipy.spatial.transform import Rotation

from idf_helpers.capturing.place import fit_similarity
from idf_helpers.data.dataset import Dataset
from idf_helpers.runtime.machine import cpu_count, cpu_name

INSIDE = 60.0  # degrees from the front, of a head that turns
# clip, method -> share of frames, degrees, per cent of the distance, dB
LIMITS = {("walk", "colmap"): (0.95, 0.5, 1.0, 30.0), ("turn", "colmap"): (0.90, 1.5, None, 26.0),
          ("turn_plain", "colmap"): (0.90, 1.5, None, 26.0),
          ("turn", "landmarks"): (0.90, 1.5, None, 26.0),
          ("turn_plain", "landmarks"): (0.90, 1.5, None, 26.0)}
CAPTURE = """
import json, sys
from idf_helpers.capturing.capture import capture
capture(sys.argv[1], sys.argv[2], method=sys.argv[3])
"""
SPLATS = """
import sys
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers import reconstruct
reconstruct(sys.argv[1], sys.argv[2], config=SplatConfig(iterations=int(sys.argv[3])))
"""


def run(code: str, *words) -> dict[str, float]:
    """Returns wall and processor seconds, and MB at most of the largest process so far."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=ROOT,
                          capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-1500:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"s": time.perf_counter() - started, "MB": after.ru_maxrss * 1024 / 1e6,
            "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def number(name: str) -> int:
    """Returns the frame's number, which ends its file's name."""
    return int(re.findall(r"\d+", name)[-1])


def compare(data: Dataset, truth) -> dict:
    """Returns the errors of a captured dataset's cameras."""
    frames = sorted(data.frames, key=lambda f: number(f.name))
    true = truth["c2w"][[number(f.name) for f in frames]]
    found = np.array([f.camera.c2w for f in frames])
    sim = fit_similarity(found[:, :3, 3], true[:, :3, 3], np.ones(len(frames)))
    distance = np.linalg.norm(true[:, :3, 3], axis=1)
    place = 100 * np.linalg.norm(sim.points(found[:, :3, 3]) - true[:, :3, 3], axis=1) / distance
    q = Rotation.from_matrix(true[:, :3, :3] @ found[:, :3, :3].transpose(0, 2, 1))
    yaw = np.degrees(np.arctan2(true[:, 0, 3], -true[:, 1, 3]))
    common = Rotation.from_matrix(sim.rotation)
    turn = np.degrees((q * q.mean().inv()).magnitude())
    own = np.degrees((q * common.inv()).magnitude())
    # where the similarity sends the world's origin, seen from the cameras
    shift = 100 * np.linalg.norm(sim.offset) / np.median(distance)
    return {"yaw": yaw, "turn": turn, "own": own, "place": place,
            "world": (np.degrees(common.magnitude()), 100 * (1 / sim.scale - 1), shift),
            "f": frames[0].camera.fx, "width": frames[0].camera.width}


def row(clip: str, method: str, folder: Path, clips: Path, iterations: int) -> bool:
    """Measures one capture; returns whether all limits are kept."""
    truth, data = np.load(clips / f"{clip}.npz"), folder / "data"
    if not (data / "capture_report.json").exists():
        took = run(CAPTURE, clips / f"{clip}.mp4", data, method)
        (folder / "took.json").write_text(json.dumps(took))
    took = json.loads((folder / "took.json").read_text())
    report = json.loads((data / "capture_report.json").read_text())
    e = compare(Dataset.open(data), truth)
    inside = np.abs(e["yaw"]) <= (INSIDE if clip.startswith("turn") else 180)
    share = report["registered"] / report["chosen"]
    limits = LIMITS.get((clip, method), (None,) * 4)
    got = [share, np.median(e["turn"][inside]), np.median(e["place"][inside]), None]
    print(f"\n{clip}, {report['method']} ({report['moves']} moves): {took['s']:.0f} s, of "
          f"processors {took['cpu_s']:.0f} s, {took['MB']:.0f} MB")
    print(f"  cameras  {report['registered']} of {report['chosen']} ({100 * share:.0f} %), yaw "
          f"{e['yaw'].min():.0f} to {e['yaw'].max():.0f}, focal length "
          f"{100 * (e['f'] / truth['fx'][0] - 1):+.1f} %")
    print(f"  turn     {got[1]:.2f} degrees, largest {e['turn'][inside].max():.2f}; by the centers "
          f"alone {np.median(e['own'][inside]):.2f}, {e['own'][inside].max():.2f}")
    print(f"  place    {got[2]:.2f} %, largest {e['place'][inside].max():.2f}")
    print("  world    {:.1f} degrees, {:+.1f} % in size, {:.1f} %".format(*e["world"]))
    for words in report["doubts"]:
        print(f"  doubt    {words}")
    if iterations:
        if not (folder / "splats" / "metrics.json").exists():
            run(SPLATS, data, folder / "splats", iterations)
        m = json.loads((folder / "splats" / "metrics.json").read_text())
        got[3] = m["psnr"]
        print(f"  splats   {m['psnr']:.1f} dB, in the mask {m.get('psnr_masked', np.nan):.1f} dB")
    tests = [(got[0], limits[0], 1), (got[1], limits[1], -1), (got[2], limits[2], -1),
             (got[3], limits[3], 1)]
    kept = all(sign * value >= sign * limit for value, limit, sign in tests
               if value is not None and limit is not None)
    print(f"  limits   {limits}: {'kept' if kept else 'MISSED'}")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=["walk", "turn", "turn_plain"])
    parser.add_argument("--methods", nargs="*", default=["colmap", "landmarks"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--iterations", type=int, default=2000, help="of the splats; 0: none")
    args = parser.parse_args()
    out = args.out or Path(tempfile.mkdtemp(prefix="capture-"))
    print(f"{cpu_name()}, {cpu_count()} processors")
    kept = True
    for clip in args.only:
        for method in args.methods:
            folder = out / f"{clip}_{method}"
            folder.mkdir(parents=True, exist_ok=True)
            kept &= row(clip, method, folder, args.clips, args.iterations)
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
