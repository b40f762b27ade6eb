"""The data of a scene that a browser gets, in a page or in a notebook's widget."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.cameras import Camera, SceneFrame, scene_frame, seen_yaws, yaw_pitch
from ..data.media import encode_image, to_uint8
from ..errors import IdfError
from ..reconstruction.splats.framing import guess_frame
from ..reconstruction.splats.gaussians import Gaussians
from ..reconstruction.splats.scene import GaussianScene
from ..scene import Expressive, HasGaussians
from .avatar_payload import Rig, Track, largest_weights, rig_of, style_rig
from .pack import pack

# Degrees beyond what the cameras saw that a view may be turned to: of splats, of an avatar, of an
# avatar whose Gaussians nothing kept on a head.
SEEN_BESIDE, AVATAR_BESIDE, UNKEPT_BESIDE = 25.0, 10.0, 6.0
AROUND = 240.0  # degrees that cameras saw, from which a viewer may be turned all around
START_PITCH = 4.6  # degrees above the middle of a head, of the first view
OUTLIERS = 2.0  # percent of the cameras at either end that do not count as seen
POSTER_SIZE = 288  # side of the picture that is shown until there is one, pixels

Limits = tuple[float, float]


@dataclass(frozen=True)
class ViewerPayload:
    """data: the pack, gzip. page: frame, footprint and background, for static/shell.js. rig:
    sliders and weights of an avatar's face or of a style (`avatar_payload.rig_json`), or None.
    poster: data URL of what it looks like, for the time before and for browsers that cannot draw
    it."""

    data: bytes
    page: dict
    rig: dict | None
    poster: str = ""

    @property
    def title(self) -> str:
        """What it is called where nobody gave it a name."""
        return "4D avatar" if self.rig and self.rig["kind"] == "face" else "3D head"

    @classmethod
    def of_scene(cls, scene: HasGaussians, cameras: Sequence[Camera] | None = None, *,
                 track: Track | None = None, intensity: float | None = None, **options
                 ) -> ViewerPayload:
        """Return the payload of splats, of restyled ones with a slider for the style, or of an
        avatar with the sliders of its face.

        cameras: those of the dataset; None = the scene's own. They tell where the head is and how
        far round there is something to see. track: expressions to play. intensity: where the
        style's slider stands first, None = 1. options: as of `of`.
        """
        cameras = scene.cameras if cameras is None else cameras
        original = getattr(scene, "original", None)
        gaussians, rig = rig_of(scene.avatar, track) if isinstance(scene, Expressive) else (
            scene.gaussians, None) if original is None else (original, style_rig(
                original, scene.gaussians, 1.0 if intensity is None else intensity))
        made_up = getattr(scene, "frame", None)
        if made_up is not None and all(a is b for a, b in zip(cameras, scene.cameras,
                                                              strict=False)):
            orbit = getattr(scene, "orbit", None)  # of a file without cameras
            tilt = orbit and (math.degrees(orbit.low), math.degrees(orbit.high))
            # there is no edge of pictures to fade at
            return cls.of(gaussians, made_up, tilt=tilt, rig=rig, **options | {"soft_edge": False})
        several = len(cameras) > 1
        if not several:
            return cls.of(gaussians, rig=rig, **options)
        frame = scene_frame(cameras)
        if not isinstance(scene, Expressive):
            return cls.of(gaussians, frame, rig=rig, turn=turn_range(cameras), **options)
        beside = AVATAR_BESIDE if scene.avatar.meta.get("whole_head", False) else UNKEPT_BESIDE
        angles = np.array([yaw_pitch(c, frame) for c in cameras])
        yaw, pitch = np.median(angles, axis=0)
        turn, tilt = (usual_range(column, beside) for column in angles.T)
        return cls.of(gaussians, frame, rig=rig, turn=turn, tilt=tilt,
                      start=(float(yaw), float(pitch)), **options)

    @classmethod
    def of(cls, gaussians: Gaussians, frame: SceneFrame | None = None, *,
           background: str = "dark", turn: Limits | None = None, tilt: Limits | None = None,
           start: tuple[float, float] = (0.0, START_PITCH), trained_at: int | None = None,
           soft_edge: bool = True, sh_degree: int = 3, rig: Rig | None = None) -> ViewerPayload:
        """Return the payload of Gaussians.

        frame: where the head is and how wide the first view, as `cameras.scene_frame` finds it;
            None: guessed from the Gaussians, z up and the face toward -y.
        background: "dark" or "white", to start with.
        turn, tilt: the least and the largest yaw, and pitch, that the view can be turned to,
            degrees; None: all around. It turns ever slower toward them.
        start: yaw and pitch of the first view, degrees; brought between those.
        trained_at: side of the training pictures in pixels. Where the page shows the head larger
            than that, the Gaussians keep the width they were trained with.
        soft_edge: fade out what lies below the pictures that the splats were made from, where
            nothing held them in place (`fade_below`); needs `frame`.
        sh_degree: highest degree of view-dependent color to keep, 0 to 3.
        rig: what moves an avatar's face, or brings a style; `gaussians` are the neutral one.
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
        start = tuple(float(np.clip(x, *limits)) if limits else x
                      for x, limits in zip(start, (turn, tilt), strict=True))
        packed = pack(gaussians, sh_degree, rig.deltas, largest_weights(rig.basis),
                      rig.fades) if rig else \
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
                      "turn": turn, "tilt": tilt, "yaw": start[0], "pitch": start[1]}}
        return cls(gzip.compress(packed, 9, mtime=0), page,
                   rig.json() if rig else None,
                   poster_url(rig.moved(gaussians) if rig else gaussians,
                              frame_camera(frame, *start, POSTER_SIZE)))


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


def turn_range(cameras: Sequence[Camera], beside: float = SEEN_BESIDE) -> Limits | None:
    """Return the least and greatest yaw that the cameras saw, degrees, and a little more to both
    sides; None where they stand all around."""
    low, high = seen_yaws(cameras)
    return (low - beside, high + beside) if high - low < AROUND else None


def usual_range(angles, beside: float) -> Limits:
    """Return between which angles nearly all of them are, and a little more to both sides."""
    low, high = np.percentile(angles, [OUTLIERS, 100 - OUTLIERS])
    return float(low) - beside, float(high) + beside


def frame_camera(frame: SceneFrame, yaw: float, pitch: float, size: int) -> Camera:
    """Return the page's camera at yaw and pitch (degrees) for a square of `size` pixels."""
    yaw, pitch = math.radians(yaw), math.radians(pitch)
    flat = math.cos(yaw) * frame.front + math.sin(yaw) * np.cross(frame.up, frame.front)
    back = math.cos(pitch) * flat + math.sin(pitch) * frame.up
    return Camera.look_at(frame.center + frame.distance * back, frame.center, frame.up,
                          2 * math.atan(frame.radius / frame.distance), size, size)


def poster_url(gaussians: Gaussians, camera: Camera) -> str:
    """Return the Gaussians from `camera` as a data URL of a small transparent WebP."""
    seen = GaussianScene(gaussians).render_full(camera, None, (0.0, 0.0, 0.0))
    alpha = seen.alpha[..., None]
    rgba = np.concatenate([seen.rgb / np.maximum(alpha, 1e-3), alpha], axis=2)
    data = encode_image(to_uint8(rgba), ".webp", quality=80)
    return "data:image/webp;base64," + base64.b64encode(data).decode("ascii")
