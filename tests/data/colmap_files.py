"""COLMAP reconstructions written by hand, text and binary, for the tests that read them."""

import struct
from dataclasses import dataclass

import numpy as np

from idf_helpers.data import media
from idf_helpers.data.cameras import GL_TO_CV, look_at_matrix

MODELS = {name: number for number, name in enumerate((
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE",
    "FULL_OPENCV", "FOV", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE",
    "RAD_TAN_THIN_PRISM_FISHEYE", "SIMPLE_DIVISION", "DIVISION", "SIMPLE_FISHEYE", "FISHEYE",
    "EUCM", "EQUIRECTANGULAR"))}
SIZE = (32, 24)
UP = np.array([0.1, -1.0, 0.2]) / np.linalg.norm([0.1, -1.0, 0.2])  # y down, as COLMAP leaves it


@dataclass
class Model:
    """lenses: id -> (model, width, height, parameters). poses: (name, c2w OpenGL, lens id).
    points: (N, 6), positions and colors 0 to 255."""

    lenses: dict
    poses: list
    points: np.ndarray

    def write(self, folder, text: bool):
        folder.mkdir(parents=True)
        (self._text if text else self._binary)(folder)

    def _binary(self, folder):
        out = struct.pack("<Q", len(self.lenses))
        for i, (model, w, h, p) in self.lenses.items():
            out += struct.pack(f"<iiQQ{len(p)}d", i, MODELS[model], w, h, *p)
        (folder / "cameras.bin").write_bytes(out)
        out = struct.pack("<Q", len(self.poses))
        for i, (name, c2w, lens) in enumerate(self.poses):
            q, t = quat_translation(c2w)
            out += struct.pack("<i7di", i + 1, *q, *t, lens) + name.encode() + b"\0"
            out += struct.pack("<Q", 2) + struct.pack("<ddqddq", 1, 2, -1, 3.5, 4.5, 7)
        (folder / "images.bin").write_bytes(out)
        out = struct.pack("<Q", len(self.points))
        for i, (x, y, z, *rgb) in enumerate(self.points):
            out += struct.pack("<Q3d3BdQ", i, x, y, z, *map(int, rgb), 0.5, 2)
            out += struct.pack("<4i", 1, 0, 2, 1)
        (folder / "points3D.bin").write_bytes(out)

    def _text(self, folder):
        (folder / "cameras.txt").write_text("# Camera list\n" + "".join(
            f"{i} {model} {w} {h} {' '.join(map(repr, p))}\n"
            for i, (model, w, h, p) in self.lenses.items()))
        rows = ["# Image list with two lines of data per image:"]
        for i, (name, c2w, lens) in enumerate(self.poses):
            q, t = quat_translation(c2w)
            rows.append(" ".join(map(repr, [i + 1, *map(float, [*q, *t]), lens])) + f" {name}")
            rows.append("" if i % 2 else "1.0 2.0 -1 3.5 4.5 7")  # a picture without any 2D point
        (folder / "images.txt").write_text("\n".join(rows) + "\n")
        (folder / "points3D.txt").write_text("# 3D point list\n" + "".join(
            f"{i} {x!r} {y!r} {z!r} {int(r)} {int(g)} {int(b)} 0.5 1 0 2 1\n"
            for i, (x, y, z, r, g, b) in enumerate(self.points.tolist())))


def quat_translation(c2w):
    """World-to-camera quaternion w, x, y, z (from the eigenvector of Bar-Itzhack's matrix) and
    translation, OpenCV axes."""
    w2c = np.linalg.inv(np.asarray(c2w) @ GL_TO_CV)
    R = w2c[:3, :3]
    K = np.array([
        [R[0, 0] - R[1, 1] - R[2, 2], 0, 0, 0],
        [R[0, 1] + R[1, 0], R[1, 1] - R[0, 0] - R[2, 2], 0, 0],
        [R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], R[2, 2] - R[0, 0] - R[1, 1], 0],
        [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], R.trace()]]) / 3
    x, y, z, w = np.linalg.eigh(K, "L")[1][:, 3]
    return np.array([w, x, y, z]), w2c[:3, 3]


def poses(count=17):
    """c2w of a ring of upright cameras round (1, 2, 3) in a world whose y points down."""
    side = np.cross(UP, [0, 0, 1.0])
    side /= np.linalg.norm(side)
    other = np.cross(UP, side)
    angles = np.linspace(0, 4.5, count)
    return [look_at_matrix(np.array([1, 2, 3]) + 3 * (np.cos(a) * side + np.sin(a) * other)
                           + 0.4 * np.sin(5 * a) * UP, (1, 2, 3), UP) for a in angles]


def make(root, text=False, lens=("PINHOLE", *SIZE, (40.0, 41.0, 15.0, 12.5)), points=120,
         images="images", sparse="sparse/0", scale=1):
    rng = np.random.default_rng(0)
    names = [f"shots/p {i:02d}.png" for i in range(17)]
    for name in names:
        media.write_image(root / images / name, rng.integers(
            0, 256, (SIZE[1] * scale, SIZE[0] * scale, 3), np.uint8))
    cloud = np.concatenate([rng.normal((1, 2, 3), 0.5, (points, 3)),
                            rng.integers(0, 256, (points, 3))], axis=1)
    model = Model({3: lens}, [(n, m, 3) for n, m in zip(names, poses(), strict=True)][::-1], cloud)
    model.write(root / sparse, text)
    return model
