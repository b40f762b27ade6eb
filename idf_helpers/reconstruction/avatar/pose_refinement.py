"""Poses of a tracked video, aligned with the whole head before an avatar is trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...data.cameras import Camera
from ...data.frame import Frame
from ...data.media import resize_area
from ...face.head_shape import HeadFrame, HeadShape
from ...face.person_mask import PersonMask
from ...tracking.whole_head import SIZE, refine_poses
from .frame_source import FrameSource
from .sequence import sequence_number
from .train import outlined


def refined_cameras(source: FrameSource, mattes: np.ndarray, others: Sequence[Frame],
                    head: HeadFrame, progress: Callable[[float], None]) -> dict[str, Camera]:
    """Return {name of a frame: its camera} of the frames of `source` and the others, all aligned
    with one appearance of the head. mattes: (N, H, W) uint8 silhouettes of the former."""
    shape = HeadShape.fit(head, outlined(source, mattes))
    person = PersonMask()
    frames = list(source.frames) + list(others)
    order = sorted(range(len(frames)), key=lambda i: (sequence_number(frames[i]) or 0, i))

    def picture(i: int) -> np.ndarray:
        if i < len(source):
            return source.frame(i)
        camera = frames[i].camera.fitted(SIZE)
        return resize_area(frames[i].image()[..., :3], camera.width, camera.height)

    outlines = [mattes[i] if i < len(source) else
                np.round(255 * person.alpha(picture(i))).astype(np.uint8) for i in order]
    cameras = refine_poses(lambda k: picture(order[k]), outlines,
                           [frames[i].camera for i in order], shape, progress)
    return {frames[i].name: camera for i, camera in zip(order, cameras, strict=True)}
