"""The data of a scene that a browser gets, in a page or in a notebook's widget."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.cameras import Camera, SceneFrame, scene_frame, seen_yaws, yaw_pitch
from ..errors import IdfError
from ..reconstruction.splats.gaussians import Gaussians
from ..reconstruction.splats.model_file import guess_frame
from ..scene import Expressive, HasGaussians
from .avatar_payload import Rig, Track, largest_weights, rig_json, rig_of
from .pack import pack

# Degrees beyond the outermost camera that a viewer may be turned to; for avatars whose Gaussians
# nothing kept on a head.
SEEN_BESIDE, UNKEPT_BESIDE = 25.0, 12.0
AROUND = 240.0  # degrees that cameras saw, from which a viewer may be turned all around


@dataclass(frozen=True)
class ViewerPayload:
    """data: the pack, gzip. page: frame, footprint and background, for static/shell.js. rig:
    sliders and weights of an avatar's face (`avatar_payload.rig_json`), or None."""

    data: bytes
    page: dict
    rig: dict | None

    @classmethod
    def of_scene(cls, scene: HasGaussians, cameras: Sequence[Camera] | None = None, *,
                 track: Track | None = None, **options) -> ViewerPayload:
        """Return the payload of splats, or of an avatar with the sliders of its face.

        cameras: those of the dataset; None = the scene's own. They tell where the head is and how
        far round there is something to see. track: expressions to play. options: as of `of`.
        """
        cameras = scene.cameras if cameras is None else cameras
        gaussians, rig = rig_of(scene.avatar, track) if isinstance(scene, Expressive) else (
            scene.gaussians, None)
        several = len(cameras) > 1
        if isinstance(scene, Expressive):
            kept = scene.avatar.meta.get("whole_head", False)
            beside = SEEN_BESIDE if kept else UNKEPT_BESIDE
            if several:
                options["tilt"] = tilt_limit(cameras, beside)
        else:
            beside = SEEN_BESIDE
        return cls.of(gaussians, scene_frame(cameras) if several else None, rig=rig,
                      turn=turn_range(cameras, beside) if several else None, **options)

    @classmethod
    def of(cls, gaussians: Gaussians, frame: SceneFrame | None = None, *,
           background: str = "dark", turn: tuple[float, float] | None = None,
           tilt: float | None = None, trained_at: int | None = None,
           soft_edge: bool = True, sh_degree: int = 3, rig: Rig | None = None) -> ViewerPayload:
        """Return the payload of Gaussians.

        frame: where the head is and how wide the first view, as `cameras.scene_frame` finds it;
            None: guessed from the Gaussians, z up and the face toward -y.
        background: "dark" or "white", to start with.
        turn: degrees, the least and greatest yaw that the view can be turned to; tilt: the same
            up and down; None: all around. It turns ever slower toward them.
        trained_at: side of the training pictures in pixels. Where the page shows the head larger
            than that, the Gaussians keep the width they were trained with.
        soft_edge: fade out what lies below the pictures that the splats were made from, where
            nothing held them in place (`fade_below`); needs `frame`.
        sh_degree: highest degree of view-dependent color to keep, 0 to 3.
        rig: what moves an avatar's face; `gaussians` are the neutral one.
        Raises IdfError where there is nothing to show.
        """
        if background not in ("dark", "white"):
            raise IdfError("This background is unknown", repr(background),
                           "use \"dark\" or \"white\"")
        gaussians = gaussians.checked()
        if soft_edge and frame is not None:  # a guessed frame knows nothing of the pictures
            gaussians, kept = fade_below(gaussians, frame)
            rig = rig and replace(rig, deltas={n: d[:, kept] for n, d in rig.deltas.items()})
        frame = frame or guess_frame(gaussians)
        packed = pack(gaussians, sh_degree, rig.deltas, largest_weights(rig.basis)) if rig else \
            pack(gaussians, sh_degree)
        page = {
            "background": background,
            # width of a training pixel at the middle of the head, in world units
            "footprint": 2 * frame.radius / trained_at if trained_at else 0,
            "frame": {"center": list(map(float, frame.center)), "up": list(map(float, frame.up)),
                      "front": list(map(float, frame.front)), "distance": float(frame.distance),
                      "fov": 2 * math.atan(frame.radius / frame.distance),
                      # of the turntable, degrees: less than 360 sways about the middle
                      "sweep": 360.0 if turn is None else min(360.0, 0.6 * (turn[1] - turn[0])),
                      "turn": turn, "tilt": tilt}}
        return cls(gzip.compress(packed, 9, mtime=0), page,
                   rig_json(rig.basis, rig.track, rig.presets) if rig else None)


def fade_below(gaussians: Gaussians, frame: SceneFrame, start: float = 1.0, end: float = 1.14
               ) -> tuple[Gaussians, np.ndarray]:
    """Return a copy whose opacity falls to zero between `start` and `end` radii below the center,
    and (N,) bool which Gaussians are left.

    A bust runs out of the pictures at the bottom; what was trained beyond their edge is a smear
    that a tall window or a raised view would show.
    """
    depth = -(gaussians.means - frame.center) @ frame.up / frame.radius
    t = np.clip((depth - start) / (end - start), 0, 1)
    left = 1 - t * t * (3 - 2 * t)  # smoothstep
    opacity, kept = np.maximum(gaussians.opacities * left, 1e-7), left > 1e-4
    out = gaussians[kept]
    # sigmoid^-1; the cap keeps an opacity that rounds to 1 finite
    logits = np.log(opacity[kept] / np.maximum(1 - opacity[kept], 1e-7))
    out.opacity_logits = np.where(t[kept] > 0, logits, out.opacity_logits).astype(np.float32)
    return out, kept


def tilt_limit(cameras: Sequence[Camera], beside: float = SEEN_BESIDE) -> float:
    """Return the degrees up and down that the cameras saw, and a little more."""
    frame = scene_frame(cameras)
    return float(np.abs([yaw_pitch(c, frame)[1] for c in cameras]).max()) + beside


def turn_range(cameras: Sequence[Camera], beside: float = SEEN_BESIDE
               ) -> tuple[float, float] | None:
    """Return the least and greatest yaw that the cameras saw, degrees, and a little more to both
    sides; None where they stand all around."""
    low, high = seen_yaws(cameras)
    return (low - beside, high + beside) if high - low < AROUND else None
