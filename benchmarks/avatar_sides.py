"""How an avatar of the bundled talking head looks from the side, further than it was trained.

    python benchmarks/avatar_sides.py --poses FOLDER
    bpy-venv/bin/python assets/render/render_samples.py --pack PACK --set head_multiview \
        --poses FOLDER --out TRUTH --size 256 --spp 16
    python benchmarks/avatar_sides.py --truth TRUTH/head_multiview --runs RUN [RUN …]

The first writes the cameras, the second renders the head at rest from there (assets/render), in a
light that stays in the room as in the bundled sequence; the third compares. The frames that an
avatar is trained on reach 27 degrees. Masked: over the pixels that truth or avatar cover, before
the room. LPIPS, where --lpips names a folder with its weights, is of that region as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from idf_helpers.data import samples
from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.data.dataset import Dataset
from idf_helpers.data.media import encode_image, over, resize_area, to_uint8
from idf_helpers.metrics import psnr
from idf_helpers.reconstruction.avatar.basis import BlendAvatar
from idf_helpers.reconstruction.avatar.scene import AvatarScene
from idf_helpers.runtime.files import write_bytes, write_json

YAWS = (-50, -40, -30, -15, 0, 15, 30, 40, 50)
WANTED = {30: 26.0, 40: 24.0, 50: 22.0}  # dB


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    poses: Path | None = None
    """Write the cameras there and stop."""
    truth: Path | None = None
    """Folder of the rendered set."""
    runs: tuple[Path, ...] = ()
    """Run folders of avatars, the first of them what the others are compared with."""
    lpips: Path | None = None
    """Folder with the weights of LPIPS."""
    pictures: Path | None = None
    """A PNG of all views, truth first."""


def write_poses(folder: Path) -> None:
    """Cameras around the head at rest, as transforms with the names of the expressions."""
    data = samples.dataset("head_talking")
    frames = []
    for yaw in YAWS:
        a = np.radians(yaw)
        c2w = look_at_matrix(0.5 * np.array([np.sin(a), -np.cos(a), 0.0]), np.zeros(3), (0, 0, 1))
        frames.append({"file_path": f"./side/y_{yaw:+d}", "transform_matrix": c2w.tolist(),
                       "expression": [0.0] * 76})
    write_json(folder / "transforms_train.json", {
        "camera_angle_x": data.train[0].camera.fov_x,
        "expression_names": list(data.expression_names), "frames": frames})


def main(options: Options) -> None:
    if options.poses:
        return write_poses(options.poses)
    lpips = None
    if options.lpips:
        from idf_helpers.perceptual import Lpips

        lpips = Lpips(options.lpips).open()
    frames = sorted(Dataset.open(options.truth).frames, key=lambda f: int(f.name.split("_")[-1]))
    scenes = [AvatarScene(BlendAvatar.load(run)) for run in options.runs]
    strips = [[] for _ in range(len(scenes) + 1)]
    table = np.full((len(scenes), len(YAWS), 2), np.nan)
    for column, frame in enumerate(frames):
        for row, scene in enumerate(scenes):
            size = scene.avatar.meta["resolution"]
            camera: Camera = frame.camera.fitted(size)
            behind = scene._behind(camera)
            rgba = resize_area(frame.image(), size, size)
            truth = over(rgba, behind)
            shown = scene.render_full(camera, {})
            mask = (rgba[..., 3] > 127) | (shown.alpha > 0.5)
            table[row, column, 0] = psnr(shown.rgb, truth, mask)
            if lpips:
                table[row, column, 1] = lpips(np.clip(shown.rgb, 0, 1), truth, mask)
            if row == 0:
                strips[0].append(truth)
            strips[row + 1].append(shown.rgb)
    print(f"{'':24s}" + "".join(f"{y:+8d}" for y in YAWS))
    for k, what in enumerate(("PSNR, dB", "LPIPS")[:1 + bool(lpips)]):
        for row, run in enumerate(options.runs):
            print(f"{what + ' ' + run.name[:15]:24s}"
                  + "".join(f"{v:8.{2 + 2 * k}f}" for v in table[row, :, k]))
    last = table[-1]
    for side, wanted in WANTED.items():
        worst = min(last[YAWS.index(s * side), 0] for s in (-1, 1))
        print(f"±{side}: the worse side {worst:.2f} dB, wanted >= {wanted}")
    if lpips and len(scenes) > 1:
        i = [YAWS.index(-40), YAWS.index(40)]
        gain = 1 - table[-1, i, 1].mean() / table[0, i, 1].mean()
        print(f"LPIPS at ±40 better than {options.runs[0].name} by {100 * gain:.0f} %, "
              "wanted >= 40")
    if options.pictures:
        sheet = np.concatenate([np.concatenate(s, axis=1) for s in strips])
        write_bytes(options.pictures, encode_image(to_uint8(sheet)))


if __name__ == "__main__":
    main(tyro.cli(Options))
