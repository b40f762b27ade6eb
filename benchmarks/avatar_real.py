"""How much an avatar of real footage gains over a head that cannot move: your own clips.

    python benchmarks/avatar_real.py CLIP.mp4 [CLIP.mp4 …] --out FOLDER [--iterations 3000]

Each clip, of somebody who talks for 15 s or more before a camera that stands still, is tracked
(every second frame, 256 px, background made of the frames) and trained on at 128², with and without
expressions, equally long. The last fifth is held out. Its poses are aligned with the pictures as
those of the training frames are, as a tracker does; its expressions are the tracker's. A clip that
was tracked before (a folder with transforms) is taken as it is. By names: the same avatar
with the named expressions alone, as sliders and other people drive it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data.dataset import Dataset
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from idf_helpers.reconstruction.avatar.evaluate import evaluate_avatar
from idf_helpers.reconstruction.avatar.method import posed
from idf_helpers.reconstruction.avatar.scene import AvatarScene
from idf_helpers.runtime.files import read_json
from idf_helpers.tracking.config import TrackConfig
from idf_helpers.tracking.track import track


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    """Videos, or folders that were tracked before."""
    out: Path = Path("runs/avatar_real")
    """Where tracks and runs are kept; what is there is not made again."""
    budget_s: float = 180.0
    """Seconds of optimization, for each of the two models."""
    iterations: int | None = None
    """Steps instead of seconds: for a machine that others use, too."""
    skin_motion: bool = False
    """Let the avatars follow the skin in the pictures, too."""
    every: int = 2
    """Take every N-th frame."""


def main(options: Options) -> None:
    amount = {"iterations": options.iterations} if options.iterations else \
        {"budget_s": options.budget_s}
    config = AvatarConfig(resolution=128, baseline=True, skin_motion=options.skin_motion,
                          **amount)
    gains = []
    print(f"{'':30s}{'full':>8s}{'head':>8s}{'moves':>8s}{'over static:':>14s}{'head':>6s}"
          f"{'moves':>8s}{'by names:':>12s}{'head':>6s}{'moves':>8s}   dB")
    for clip in options.clips:
        data = Dataset.open(clip) if clip.is_dir() else track(
            clip, options.out / "tracks" / clip.stem,
            TrackConfig(every=options.every, size=256, overlay=False))
        run = options.out / clip.stem
        reconstruct(data, run, "avatar:cpu", config)
        m = read_json(run / "metrics.json")
        gain = [m[k] - m["static"][k] for k in ("psnr_head", "psnr_moving")]
        gains.append(gain)
        scene = AvatarScene(BlendAvatar.load(run))
        scene.baseline = AvatarScene(BlendAvatar.load(run / "static.npz"))
        scene.avatar.meta.pop("details", None)
        named = evaluate_avatar(scene, posed(scene, data.test), 128)
        print(f"{clip.stem[:30]:30s}{m['psnr']:8.2f}{m['psnr_head']:8.2f}{m['psnr_moving']:8.2f}"
              f"{'':14s}{gain[0]:6.2f}{gain[1]:8.2f}{'':12s}" + "".join(
                  f"{named.mean('avatar', k) - named.mean('static', k):{w}.2f}"
                  for k, w in (("psnr_head", 6), ("psnr_moving", 8))), flush=True)
    head, moves = np.median(gains, axis=0)
    print(f"{'median':30s}{'':38s}{head:6.2f}{moves:8.2f}   wanted >= 2.5, >= 3.5")


if __name__ == "__main__":
    main(tyro.cli(Options))
