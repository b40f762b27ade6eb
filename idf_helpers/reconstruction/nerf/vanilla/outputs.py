"""What nerf-pytorch leaves of a training beside its checkpoint: the test set, and two videos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ....data.cameras import Camera, orbit
from ....data.media import video_writer, write_image
from ....provenance import Mark, label, marked
from ....scene import Scene

FPS = 30.0
ELEVATION = 30.0  # nerf-pytorch's camera looks down by this


def write_test_set(scene: Scene, cameras: Iterable[Camera], folder: Path, factor: int, mark: Mark
                   ) -> None:
    """Write 000.png, 001.png …, as nerf-pytorch's render_path names them, each with its mark."""
    for i, camera in enumerate(cameras):
        picture = scene.render(_scaled(camera, factor))
        with marked(folder / f"{i:03d}.png", mark) as temporary:
            write_image(temporary, mark.watermarked(picture))


def write_spiral(scene: Scene, stem: Path, frames: int, resolution: int | None, factor: int,
                 mark: Mark) -> None:
    """Write STEMrgb.mp4 and STEMdisp.mp4: one turn about the head, and its disparity (1/depth over
    the largest; 0 where nothing is)."""
    path = orbit(scene.cameras, frames, ELEVATION, resolution=resolution)
    views = [scene.render_full(_scaled(c, factor)) for c in path]
    disparity = [np.nan_to_num(1 / v.depth) for v in views]
    top = max(float(d.max()) for d in disparity) or 1.0
    for name, pictures in (("rgb", [label(v.rgb) for v in views]),
                           ("disp", [np.repeat((d / top)[..., None], 3, 2) for d in disparity])):
        target = stem.with_name(f"{stem.name}{name}.mp4")
        with marked(target, mark) as temporary, \
                video_writer(temporary, FPS, comment=mark.text()) as video:
            for picture in pictures:
                video.append(mark.watermarked(picture))


def _scaled(camera: Camera, factor: int) -> Camera:
    return camera.resized(camera.width // factor, camera.height // factor) if factor > 1 else camera
