"""Pictures of a head whose eyes look somewhere, and the truth; for `benchmarks/tracking.py`.

    bpy-venv/bin/python assets/render/render_gaze.py --pack PACK --out OUT --identity B

The pack's `eyeLook*` shapes move the lids; here the eyeballs turn with them, about their own
middles. A picture that is there is skipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "assets" / "face")]

import shots  # noqa: E402
from gaze import turn_eyes  # noqa: E402
from pack import HeadPack  # noqa: E402

from idf_helpers.face.gaze import weights_of  # noqa: E402

BLINKS = (5, 14)  # frames with closed eyes


def moves(seed: int, count: int):
    """Gaze (count, 2) degrees, two frames each, and yaw and pitch of the camera, degrees."""
    rng = np.random.default_rng(seed)
    gaze = np.repeat(rng.uniform((-24, -14), (24, 12), (count, 2)), 2, axis=0)[:count]
    t = np.arange(count) / count
    return gaze, 25 * np.sin(9 * t), 8 * np.sin(7 * t + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--identity", default="B", choices="ABC")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--spp", type=int, default=12)
    args = parser.parse_args()
    from scene import Quality, Studio, _set_positions

    args.out.mkdir(parents=True, exist_ok=True)
    pack = HeadPack(args.pack)
    studio = Studio(pack, args.identity, Quality(args.size, args.spp, fov_x=shots.FOV_X))
    gaze, yaw, pitch = moves(ord(args.identity), args.frames)
    blink = np.isin(np.arange(args.frames), BLINKS).astype(float)
    (args.out / "truth.json").write_text(json.dumps(
        {"gaze": gaze.tolist(), "blink": blink.tolist(), "yaw": yaw.tolist()}))
    for i in range(args.frames):
        target = args.out / f"{i:04d}.png"
        if target.exists():
            continue
        lids = weights_of([gaze[i]] * 2)
        if blink[i]:
            lids |= {"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}
        vertices = turn_eyes(pack, pack.vertices(args.identity, lids), [gaze[i]] * 2)
        for data, positions in studio._moving:
            _set_positions(data, positions(vertices))
        studio.shoot(target, shots.camera_at(float(yaw[i]), float(pitch[i])))
        print(target.name, flush=True)


if __name__ == "__main__":
    main()
