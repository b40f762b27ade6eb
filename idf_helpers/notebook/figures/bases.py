"""Inside an avatar: what each of its bases moves, and the expressions over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...data.cameras import Camera
from ...data.contact_sheet import BACKGROUND, contact_sheet
from ...data.dataset import Dataset
from ...data.sequence import in_time
from ...reconstruction.avatar.basis import ExpressionBasis
from ...reconstruction.avatar.scene import AvatarScene
from ...reconstruction.splats.gaussians import SH_C0
from .charts import COLORS, chart, legend, picture_of

SHOWN = 4  # bases, and values in the chart
ENDS = (2, 98)  # percentiles of a weight over the frames: as far as a basis is turned
LATE = 300  # frames in the chart
MOVED, MARGIN = 0.97, 0.5  # of the Gaussians, those that move most lie in the face; beside them


def bases_picture(scene: AvatarScene, data: Dataset, cell: int = 170) -> np.ndarray:
    """Return the first bases of an avatar, a column each: the face with the basis' weight at the
    low and at the high end of what the frames have, and how far each Gaussian moves between them
    (dark: not at all): (H, W, 3) uint8."""
    basis = scene.basis
    weights = frame_weights(basis, data)
    low, high = np.percentile(weights, ENDS, axis=0)
    camera = _before(scene, cell)
    count = min(SHOWN, int((high - low > 1e-6).sum()))
    faces: list[list[np.ndarray]] = [[], [], []]
    captions = []
    moved = [np.linalg.norm(scene.avatar.deltas["means"][k], axis=1) * (high[k] - low[k])
             for k in range(count)]
    most = max((float(np.percentile(m, 99.5)) for m in moved), default=1.0)
    for k in range(count):
        for row, value in zip(faces, (low[k], high[k]), strict=False):
            w = np.zeros(basis.rank)
            w[k] = value
            row.append(scene.render(camera, with_weights(basis, w)))
        faces[2].append(_heat(scene, camera, moved[k] / max(most, 1e-12)))
        captions.append(f"basis {k + 1}: {', '.join(main_names(basis, k))}")
    box = _face_box(scene, camera)
    return contact_sheet([p[box] for row in faces for p in row], count, cell,
                         [*captions, *[""] * (2 * count)],
                         rows=["low weight", "high weight", "what moves: bright = far"])


def expressions_chart(data: Dataset, scene: AvatarScene) -> np.ndarray:
    """Return the values that move most, over the frames, and below them the weights of the first
    bases that are made from them: (H, W, 3) uint8."""
    basis = scene.basis
    values = np.stack([f.expression for f in in_time(data.train)])[:LATE]
    figure, (left, right) = chart(10.5, 3.4, 2)
    chosen = np.argsort(-values.std(0) * basis.moving, kind="stable")[:SHOWN]
    for i, color in zip(chosen, COLORS, strict=False):
        left.plot(values[:, i], color=color, label=basis.names[i])
    weights = ((values - basis.neutral) @ basis.weights)[:, :SHOWN]
    for k, color in zip(range(weights.shape[1]), COLORS, strict=False):
        right.plot(weights[:, k], color=color, label=f"weight of basis {k + 1}")
    left.set(title="expression values $e$ that move most", xlabel="frame")
    right.set(title="weights $w = (e - e_0)\\,W$", xlabel="frame")
    for axes in (left, right):
        legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return picture_of(figure)


def fewer_bases_picture(scene: AvatarScene, data: Dataset, counts=(0, 2, 4, 8, 24),
                        cell: int = 160) -> np.ndarray:
    """Return the training frame with the strongest expression, and renders of it with only the
    first bases of the avatar: (H, W, 3) uint8. counts: of bases, each its column."""
    from ...metrics import Target, psnr

    basis = scene.basis
    frame = data.train[int(np.argmax(np.linalg.norm(frame_weights(basis, data), axis=1)))]
    target = Target.of(frame, scene.avatar.meta.get("resolution"), scene.background)
    weights = basis.coefficients(frame.expression)
    box = _face_box(scene, target.camera)
    pictures, captions = [target.rgb[box]], ["the picture"]
    for count in sorted({min(c, basis.rank) for c in counts}):
        w = np.where(np.arange(basis.rank) < count, weights, 0)
        render = scene.render(target.camera, with_weights(basis, w), target.background)
        pictures.append(render[box])
        captions.append(f"{count} {'basis' if count == 1 else 'bases'}, "
                        f"{psnr(render[box], target.rgb[box]):.1f}\u00a0dB")
    return contact_sheet(pictures, len(pictures), cell, captions)


def mixed_picture(scene: AvatarScene, *edits: dict[str, float], cell: int = 190) -> np.ndarray:
    """Return the face at rest, with each of some expressions, and with all of them at once:
    (H, W, 3) uint8. edits: named values, such as {"jawOpen": 0.6}."""
    camera = _before(scene, cell)
    together = {name: value for edit in edits for name, value in edit.items()}
    shown = [("at rest", {}), *((_spelled(e), e) for e in edits), ("all at once", together)]
    box = _face_box(scene, camera)
    return contact_sheet([scene.render(camera, e)[box] for _, e in shown], len(shown), cell,
                         [text for text, _ in shown])


def frame_weights(basis: ExpressionBasis, data: Dataset) -> np.ndarray:
    """Return (F, K) weights of the training frames."""
    return np.stack([basis.coefficients(f.expression) for f in data.train])


def with_weights(basis: ExpressionBasis, weights) -> np.ndarray:
    """Return the expression (E,) nearest to rest that has these weights (K,)."""
    return (basis.neutral + np.asarray(weights) @ np.linalg.pinv(basis.weights)).astype(np.float32)


def main_names(basis: ExpressionBasis, k: int, count: int = 2) -> list[str]:
    """Return the values that turn basis `k` most, by weight times range."""
    share = np.abs(basis.weights[:, k]) * (basis.high - basis.low)
    return [basis.names[i] for i in np.argsort(-share, kind="stable")[:count]]


def _heat(scene: AvatarScene, camera, share: np.ndarray) -> np.ndarray:
    """Return the head at rest with each Gaussian in the color of its share (N,) in [0, 1]."""
    from matplotlib import colormaps

    head = scene.avatar.gaussians
    sh = np.zeros((len(head), 1, 3), np.float32)
    sh[:, 0] = (colormaps["magma"](np.clip(share, 0, 1))[:, :3] - 0.5) / SH_C0
    out = scene.rasterizer.forward(replace(head, sh=sh), camera,
                                   np.asarray(BACKGROUND, np.float32), train=False)
    return np.clip(out.rgb.transpose(1, 2, 0), 0, 1)


def _before(scene: AvatarScene, cell: int) -> Camera:
    """Return the camera before the face; much finer than in training Gaussians would show gaps."""
    trained = scene.avatar.meta.get("resolution") or 2 * cell
    return scene.front.fitted(min(2 * cell, 2 * trained))


def _face_box(scene: AvatarScene, camera) -> tuple[slice, slice]:
    """Return rows and columns of the part of a picture that expressions move, with a margin."""
    moved = np.linalg.norm(scene.avatar.deltas["means"], axis=2).sum(0)
    size = max(camera.width, camera.height)
    if not (moved > 0).any():
        return slice(0, camera.height), slice(0, camera.width)
    uv, _ = camera.project(scene.avatar.gaussians.means[moved >= np.quantile(moved, MOVED)])
    low, high = np.percentile(uv, (2, 98), axis=0)
    half = max(0.5 * (1 + MARGIN) * float((high - low).max()), 0.15 * size)
    middle = (low + high) / 2
    (x0, y0), (x1, y1) = (middle - half).astype(int), (middle + half).astype(int)
    return (slice(max(y0, 0), min(y1, camera.height)), slice(max(x0, 0), min(x1, camera.width)))


def _spelled(edit: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in edit.items())
