"""A trained avatar: what viewers, exporters and metrics ask for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...data.cameras import Camera
from ...data.media import resize_area
from ...scene import Rendering
from ..splats.gaussians import Gaussians
from .basis import BlendAvatar, ExpressionBasis, camera_from, camera_values
from .layer import COLUMNS, BlendLayer
from .pose import pose_features


@dataclass(eq=False, repr=False)
class AvatarScene:
    """An avatar with a rasterizer.

    avatar: head, bases, torso. rasterizer: any of the splats stage; None = the CPU's.
    training: iterations, seconds, num_gaussians, rollbacks; empty where loaded.
    baseline: a model that cannot move, trained beside it for comparison; None = none was.
    """

    avatar: BlendAvatar
    rasterizer: object | None = None
    training: dict = field(default_factory=dict)
    baseline: AvatarScene | None = None

    def __post_init__(self):
        if self.rasterizer is None:
            from ..splats.rasterizer import CpuRasterizer  # compiles on import

            self.rasterizer = CpuRasterizer()
        self._cameras = [camera_from(c) for c in self.avatar.meta.get("cameras", [])]
        self._picture = self.avatar.extra.get("background")
        self._head = head_layer(self.avatar)
        self._torso = torso_layer(self.avatar)
        self._backgrounds: dict[tuple[int, int], np.ndarray] = {}

    def __repr__(self) -> str:
        basis = self.avatar.basis
        return (f"AvatarScene({len(self.gaussians)} Gaussians, {basis.rank} bases of "
                f"{len(basis.names)} expressions, {len(self.cameras)} cameras)")

    @property
    def basis(self) -> ExpressionBasis:
        """Its expressions: names, ranges, weights."""
        return self.avatar.basis

    @property
    def cameras(self) -> list[Camera]:
        """Some of its training cameras."""
        return self._cameras

    @property
    def background(self) -> tuple[float, float, float]:
        """Mean color of the room, for pages that have no picture behind the head."""
        if self._picture is None:
            return (1.0, 1.0, 1.0)
        return tuple(float(c) for c in self._picture.reshape(-1, 3).mean(axis=0) / 255)

    @property
    def gaussians(self) -> Gaussians:
        """At the neutral expression and the reference pose, torso included."""
        return self.avatar.frozen()

    @property
    def front(self) -> Camera:
        """The training camera nearest to the reference pose."""
        reference = self.avatar.extra["reference"]
        return max(self._cameras, key=lambda c: np.trace(reference.T @ c.c2w[:3, :3]))

    def at(self, camera: Camera, expression=None) -> Gaussians:
        """Return what is drawn for a camera and an expression, in the head's frame."""
        basis = self.avatar.basis
        z = basis.coefficients(basis.expression(expression))
        head = self._head.at(z, self._pose(camera, self._head.shade.shape[1]))
        if self._torso is None:
            return head
        torso = self._torso.at(self._pose(camera, self._torso.rank), np.zeros(0))
        return head.joined(to_head_frame(torso, camera))

    def _pose(self, camera: Camera, count: int) -> np.ndarray:
        """Within the trained range: light and shoulders do not go on beyond what was seen."""
        p = pose_features(camera, self.avatar.extra["reference"], count)
        span = self.avatar.extra["pose_range"][:, :count]
        return np.clip(p, span[0], span[1])

    def render(self, camera: Camera, expression=None, background=None) -> np.ndarray:
        """Return (H, W, 3) float32 in [0, 1].

        expression: None = neutral, E numbers, or named values such as {"jawOpen": 0.6}, clamped to
        the trained range. background: (3,) in [0, 1] or a picture (H, W, 3) of that kind; None =
        the room that it was trained before.
        """
        return self.render_full(camera, expression, background).rgb

    def render_full(self, camera: Camera, expression=None, background=None) -> Rendering:
        """Return the same view with alpha and depth."""
        g = self.at(camera, expression)
        out = self.rasterizer.forward(g, camera, np.zeros(3, np.float32), train=False)
        alpha = np.clip(out.alpha, 0, 1)
        behind = self._behind(camera) if background is None else np.asarray(background, np.float32)
        rgb = out.rgb.transpose(1, 2, 0) + (1 - alpha)[..., None] * behind
        depth = np.where(alpha < 0.5, np.nan, out.depth).astype(np.float32)
        return Rendering(np.ascontiguousarray(np.clip(rgb, 0, 1), np.float32), alpha, depth)

    def _behind(self, camera: Camera) -> np.ndarray:
        if self._picture is None:
            return np.ones(3, np.float32)
        size = (camera.width, camera.height)
        if size not in self._backgrounds:
            self._backgrounds = {size: resize_area(self._picture, *size) / np.float32(255)}
        return self._backgrounds[size]


# --- from and to the file -------------------------------------------------------------------------

def head_layer(avatar: BlendAvatar) -> BlendLayer:
    """Return the head as one layer; its Gaussians are the neutral ones."""
    shade = avatar.extra["shade"]
    layer = BlendLayer(avatar.gaussians, avatar.basis.rank, shade.shape[1])
    for name, columns in COLUMNS.items():
        values = avatar.deltas[name]
        layer.deltas[:, :, columns] = (values if values.ndim == 3 else values[..., None]).transpose(
            1, 0, 2)
    layer.shade = np.ascontiguousarray(shade)
    layer.moves = np.abs(layer.deltas).max(axis=(1, 2), initial=0) > 0
    return layer


def torso_layer(avatar: BlendAvatar) -> BlendLayer | None:
    if "torso.means" not in avatar.extra:
        return None
    base = Gaussians(**{n: avatar.extra[f"torso.{n}"] for n in COLUMNS})
    deltas = avatar.extra["torso.deltas"]
    layer = BlendLayer(base, deltas.shape[1])
    layer.deltas = np.ascontiguousarray(deltas)
    return layer


def pack_avatar(basis, mean_w: np.ndarray, head: BlendLayer, torso: BlendLayer | None, *,
                reference: np.ndarray, pose_range: np.ndarray, cameras: list[Camera],
                background: np.ndarray | None, meta: dict, talk: np.ndarray | None = None
                ) -> BlendAvatar:
    """Return the file's form: base moved from the mean expression to the neutral one.

    mean_w: (K,) weights of the neutral expression counted from the layer's own zero.
    reference: (3, 3) camera rotation at which pose features are zero. pose_range: (2, 9) lowest
    and highest features seen. background: (H, W, 3) uint8. talk: (F, E) expressions to play.
    """
    neutral = head.at(mean_w, np.zeros(head.shade.shape[1], np.float32))
    deltas = {}
    for name, columns in COLUMNS.items():
        values = head.deltas[:, :, columns] * head.moves[:, None, None]
        values = np.ascontiguousarray(values.transpose(1, 0, 2))
        deltas[name] = values[..., 0] if name == "opacity_logits" else values
    extra = {"shade": head.shade, "reference": reference, "pose_range": pose_range}
    still = None
    if background is not None:
        extra["background"] = background
    if talk is not None:
        extra["talk"] = talk
    front = max(cameras, key=lambda c: np.trace(reference.T @ c.c2w[:3, :3]))
    if torso is not None:
        extra |= {f"torso.{n}": a for n, a in torso.gaussians.arrays().items()}
        extra["torso.deltas"] = torso.deltas
        still = to_head_frame(torso.gaussians, front)
    meta = meta | {"cameras": [camera_values(c) for c in cameras]}
    return BlendAvatar(basis, neutral, deltas, still, extra, meta)


# --- layers in one frame --------------------------------------------------------------------------

def to_head_frame(g: Gaussians, camera: Camera) -> Gaussians:
    """Return Gaussians of the camera's frame (OpenGL axes), which is the room's, in the head's."""
    R, t = camera.c2w[:3, :3], camera.c2w[:3, 3]
    turned = g.quats @ left_product(R).T
    return Gaussians((g.means @ R.T + t).astype(np.float32), g.log_scales,
                     turned.astype(np.float32), g.opacity_logits, g.sh)


def left_product(R: np.ndarray) -> np.ndarray:
    """Return (4, 4) L with quaternion(R)·q = L q, (w, x, y, z); orthogonal."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
