"""The face of an avatar as a mesh with blendshapes: a `.glb` that Blender, Unity, three.js and
others open, moved by the expressions that the avatar was trained on.

The mesh is the 468-point face as it was fitted to the training views, its morph targets are the
face model's 53 named expressions (their names in `extras.targetNames`, as those programs expect),
its texture is the avatar itself, seen from the front at rest. Eyes and mouth are closed by a fan
each: the eyes carry the picture, the mouth is dark. One animation plays the training's expressions
and turns of the head. Units are meters, +y up, the face looks to +z (Khronos glTF 2.0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..data.dataset import Dataset
from ..data.media import encode_image, resize_area
from ..data.sequence import in_time
from ..face.head_model import FaceModel
from ..face.head_shape import HeadFrame
from ..face.topology import INNER_MOUTH, LEFT_EYE, RIGHT_EYE, TRIANGLES
from ..reconstruction.avatar.scene import AvatarScene
from ..reconstruction.avatar.sequence import expression_names
from ..reconstruction.gltf import ARRAY, Buffer
from ..runtime.files import write_bytes
from ..tracking.pose_check import check_poses
from .config import ExportConfig
from .model import Model

CM = 0.01  # meters
MOUTH_DEPTH = 1.5  # cm that the middle of the mouth's fan lies behind its rim
MOUTH_COLOR = (0.03, 0.006, 0.006, 1.0)  # linear
RENDERED = 1024  # pixels of the render's longer side
TEXTURE = 512  # pixels of the cut's sides: a power of two, which every program takes
MARGIN = 0.04  # of the face's box around it, in the texture
USUAL_FPS = 25.0


@dataclass(frozen=True, eq=False)
class Surface:
    """points: (V, 3) cm, the face and the middles of its fans. triangles: (T, 3), skin and eyes.
    mouth: (M, 3). shapes: (E, V, 3) cm, the changes at weight 1, names: E."""

    points: np.ndarray
    triangles: np.ndarray
    mouth: np.ndarray
    shapes: np.ndarray
    names: tuple[str, ...]


def surface_of(face: np.ndarray) -> Surface:
    """Return the closed mesh of a face at rest, (468, 3) cm."""
    model = FaceModel.load()
    rings = (LEFT_EYE, RIGHT_EYE, INNER_MOUTH)
    back = np.array([[0, 0, -0.1], [0, 0, -0.1], [0, 0, -MOUTH_DEPTH]])
    points = np.concatenate([face, [face[r].mean(axis=0) for r in rings] + back])
    shapes = np.concatenate([model.expression, np.stack(
        [model.expression[:, r].mean(axis=1) for r in rings], axis=1)], axis=1)
    fans = [_fan(r, len(face) + i, points) for i, r in enumerate(rings)]
    return Surface(points, np.concatenate([TRIANGLES, *fans[:2]]), fans[2], shapes,
                   model.expression_names)


def _fan(ring: np.ndarray, middle: int, points: np.ndarray) -> np.ndarray:
    """Return triangles from a ring to its middle that face +z."""
    out = np.stack([ring, np.roll(ring, -1), np.full(len(ring), middle)], axis=1)
    a, b, c = points[out].transpose(1, 0, 2)
    return out if np.cross(b - a, c - a)[:, 2].sum() > 0 else out[:, ::-1]


def write_face_mesh(model: Model, path: Path, config: ExportConfig,
                    progress: Callable[[float], None]) -> None:
    """Write the `.glb`. config: frames of the animation at most.

    IdfError: the dataset that the avatar was trained on is gone, or no face is found in it.
    """
    scene = cast(AvatarScene, model.scene)
    data = model.dataset("A mesh of the face")
    report = check_poses(data.train)
    progress(0.5)
    head = HeadFrame(*report.similarity, report.face)
    write_bytes(path, face_glb(scene, data, head, config.frames))


def face_glb(scene: AvatarScene, data: Dataset, head: HeadFrame, frames: int) -> bytes:
    """Return the `.glb` of an avatar whose head lies at `head`. data: what it was trained on.
    frames: of the animation at most."""
    surface = surface_of(head.face)
    picture, uv = _texture(scene, head, surface)
    moves = _animation(scene, data, head, surface.names, frames)
    return _glb(surface, picture, uv, moves, data.fps or USUAL_FPS)


def _texture(scene: AvatarScene, head: HeadFrame, surface: Surface
             ) -> tuple[np.ndarray, np.ndarray]:
    """Return the avatar's face from the front, (TEXTURE, TEXTURE, 3) uint8, and where the mesh
    lies in it: (V, 2) in [0, 1], from the top left."""
    camera = scene.front.fitted(RENDERED)
    picture = np.rint(255 * scene.render(camera)).astype(np.uint8)
    at, _ = camera.project(head.to_world(surface.points))
    size = np.array([camera.width, camera.height])
    span = np.ptp(at, axis=0)
    low = np.clip(np.floor(at.min(axis=0) - MARGIN * span), 0, size - 2).astype(int)
    high = np.clip(np.ceil(at.max(axis=0) + MARGIN * span), low + 2, size).astype(int)
    cut = picture[low[1]:high[1], low[0]:high[0]]
    return resize_area(cut, TEXTURE, TEXTURE), np.clip((at - low) / (high - low), 0, 1)


@dataclass(frozen=True, eq=False)
class Moves:
    """weights: (F, E) of the shapes. turns: (F, 4) quaternions x y z w, places: (F, 3) meters."""

    weights: np.ndarray
    turns: np.ndarray
    places: np.ndarray


def _animation(scene: AvatarScene, data: Dataset, head: HeadFrame, names: tuple[str, ...],
               most: int) -> Moves | None:
    """Return what the head does in the training frames; None where no expression of theirs has a
    name that the mesh knows."""
    from scipy.spatial.transform import Rotation

    frames = [f for f in in_time(data.train) if f.expression is not None][:most]
    theirs = {n: i for i, n in enumerate(expression_names(data))}
    pairs = [(i, theirs[n]) for i, n in enumerate(names) if n in theirs]
    if not frames or not pairs:
        return None
    values = np.stack([f.expression for f in frames]).astype(np.float64)
    weights = np.zeros((len(frames), len(names)))
    ours, given = map(list, zip(*pairs, strict=True))
    # The mesh at rest is the face without any expression, so values are taken as they are.
    weights[:, ours] = np.clip(values[:, given], 0, 1)
    base, turns, places = scene.front.c2w, [], []
    for f in frames:
        move = base @ np.linalg.inv(f.camera.c2w)  # of the head, seen by a camera that keeps still
        R = head.rotation.T @ move[:3, :3] @ head.rotation
        shift = move[:3, :3] @ head.position + move[:3, 3] - head.position
        turns.append(Rotation.from_matrix(R).as_quat())
        places.append(CM * (head.rotation.T @ shift) / head.scale)
    turns = np.array(turns)
    for k in range(1, len(turns)):  # the short way round
        turns[k] *= 1 if turns[k] @ turns[k - 1] >= 0 else -1
    return Moves(weights, turns, np.array(places))


def _glb(surface: Surface, picture: np.ndarray, uv: np.ndarray, moves: Moves | None, fps: float
         ) -> bytes:
    buffer = Buffer()
    position = buffer.add(CM * surface.points, "VEC3", target=ARRAY, bounds=True)
    place = buffer.add(uv, "VEC2", target=ARRAY)
    # Two primitives of one mesh must have the same targets: the mouth's are the skin's.
    targets = [{"POSITION": buffer.add(CM * s, "VEC3", target=ARRAY, bounds=True)}
               for s in surface.shapes]
    names = list(surface.names)
    unlit: dict[str, Any] = {"extensions": {"KHR_materials_unlit": {}}, "doubleSided": True}
    plain = {"metallicFactor": 0, "roughnessFactor": 1}
    scene: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "idf_helpers"},
        "extensionsUsed": ["KHR_materials_unlit"], "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "face"}],
        "meshes": [{"name": "face", "weights": [0.0] * len(names), "extras": {"targetNames": names},
                    "primitives": [
                        {"attributes": {"POSITION": position, "TEXCOORD_0": place},
                         "indices": buffer.indices(surface.triangles), "material": 0,
                         "targets": targets},
                        {"attributes": {"POSITION": position},
                         "indices": buffer.indices(surface.mouth), "material": 1,
                         "targets": targets}]}],
        "materials": [
            {"name": "skin", "pbrMetallicRoughness": plain | {"baseColorTexture": {"index": 0}}}
            | unlit,
            {"name": "mouth", "pbrMetallicRoughness": plain | {"baseColorFactor": MOUTH_COLOR}}
            | unlit],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"wrapS": 33071, "wrapT": 33071, "magFilter": 9729, "minFilter": 9987}],
        "images": [{"mimeType": "image/jpeg",
                    "bufferView": buffer.view(encode_image(picture, ".jpg", quality=92))}],
    }
    if moves is not None:
        times = buffer.add(np.arange(len(moves.turns))[:, None] / fps, "SCALAR", bounds=True)
        outputs = {"weights": buffer.add(moves.weights.reshape(-1, 1), "SCALAR"),
                   "rotation": buffer.add(moves.turns, "VEC4"),
                   "translation": buffer.add(moves.places, "VEC3")}
        scene["animations"] = [{
            "name": "training", "samplers": [{"input": times, "output": o} for o in
                                             outputs.values()],
            "channels": [{"sampler": i, "target": {"node": 0, "path": path}}
                         for i, path in enumerate(outputs)]}]
    return buffer.pack(scene)
