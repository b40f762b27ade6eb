#!/usr/bin/env python
"""Measures the linear 468-point face model on drawn heads of a head pack.

    python assets/face/make_face_model.py PACK --work WORK

Rest and identity: neutral heads drawn from a seed, seen from known cameras, landmarks found in
every view and triangulated, aligned (without their size, which one camera cannot see), averaged
with their mirror images; modes by PCA. Turned faces: what single views see differently from all
views together, averaged over heads, as a cubic in the direction of the camera. Expressions: every
shape on several heads, against the same head at rest in the same views and light, so that what the
landmark model gets wrong about a head cancels; slopes of two intensities, left and right averaged
as mirror images. Brows: what the skin of the mean head does under them, since a picture, other than
the landmark model, shows a brow where it is.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]
from heads import DrawnHeads, camera_at, draw_look  # noqa: E402

from idf_helpers.face.detector import LandmarkDetector  # noqa: E402
from idf_helpers.face.head_model import CENTER, VIEW_ODD, FaceModel, view_terms  # noqa: E402
from idf_helpers.face.mesh import vertex_normals  # noqa: E402
from idf_helpers.face.topology import MIRROR, POINTS  # noqa: E402
from idf_helpers.runtime.files import atomic_write  # noqa: E402
from idf_helpers.runtime.parallel import pmap  # noqa: E402
from idf_helpers.swapping.mesh.triangulate import fit_face, triangulate  # noqa: E402
from idf_helpers.tracking.brows import REACH, centers  # noqa: E402

# Yaw and pitch in degrees, symmetric; landmarks of faces turned further are guesses.
VIEWS = ((0, 0), (-18, 0), (18, 0), (-36, 0), (36, 0), (0, -12), (0, 14), (-22, 12), (22, 12))
TURNED = tuple((yaw, pitch) for yaw in (-50, -36, -24, -12, 0, 12, 24, 36, 50)
               for pitch in (-24, -12, 0, 12, 24))
EXPRESSIONS = 53  # of the pack's 55; the last two widen the pupils
FLIP = np.array([-1.0, 1.0, 1.0])
OPPOSITE = (3, 4, 5, 0, 1, 2)  # of each stretch of the brows


@dataclass(frozen=True)
class MeasureConfig:
    """identities: heads drawn for rest and modes. turned, heads: of them, those that are looked at
    from further aside, and those that make the expressions. modes: identity modes kept. size:
    pixels of a view. intensities: of the expressions. seed: of the first head; head k has
    seed + k."""

    identities: int = 40
    turned: int = 16
    heads: int = 6
    modes: int = 20
    size: int = 320
    intensities: tuple[float, ...] = (0.5, 1.0)
    seed: int = 1000


@dataclass(frozen=True)
class View:
    """What `fit_face` wants of a frame where the pictures are not looked at again."""

    camera: object


class Measure:
    """Draws, detects, triangulates; one in each process."""

    def __init__(self, folder, size: int, views=VIEWS):
        self.heads = DrawnHeads(folder)
        self.detector = LandmarkDetector()
        self.cameras = [camera_at(y, p, size) for y, p in views]
        self.degrees = np.array([max(abs(y), abs(p)) for y, p in views])
        self.P = np.stack([c.K @ c.w2c_cv[:3] for c in self.cameras])

    def landmarks(self, vertices, look) -> np.ndarray:
        """(views, 468, 2) pixels, NaN where no face was found."""
        out = np.full((len(self.cameras), POINTS, 2), np.nan)
        for i, camera in enumerate(self.cameras):
            faces = self.detector.detect(self.heads.draw(vertices, camera, look))
            if faces:
                out[i] = faces[0].xy
        return out

    def mesh(self, xy) -> np.ndarray:
        """(468, 3) cm, all views joined."""
        found = [None if np.isnan(p).any() else p for p in xy]
        frames = [View(c) for c in self.cameras]
        return fit_face(frames, found, refine_rounds=0).vertices

    def weights(self, mesh) -> np.ndarray:
        """(views, 468): how well a view sees a point (see `triangulate._refine`)."""
        normals = vertex_normals(mesh)
        eye = np.stack([c.position for c in self.cameras])
        view = eye[:, None] - mesh
        distance = np.linalg.norm(view, axis=-1)
        facing = (view * normals).sum(-1) / distance
        frontal = np.exp(-0.5 * (self.degrees / 25) ** 2)
        return frontal[:, None] * np.clip((facing + 0.2) / 0.4, 0.001, 1) / distance**2

    def spread(self, mesh, xy) -> np.ndarray:
        """(468,) cm: root mean square distance of the single views' landmarks from the mesh."""
        out = []
        for camera, p in zip(self.cameras, xy, strict=True):
            uv, z = camera.project(mesh)
            out.append(((uv - p) ** 2).sum(1) * (z / camera.fx) ** 2)
        return np.sqrt(np.nanmean(out, axis=0))


@functools.cache
def _tool(folder, size, views=VIEWS) -> Measure:
    return Measure(folder, size, views)


def measure_rest(job) -> dict[str, np.ndarray]:
    """job: (folder, size, seed) -> mesh (468, 3) of one neutral head and spread (468,), cm."""
    folder, size, seed = job
    tool = _tool(folder, size)
    xy = tool.landmarks(tool.heads.identity(seed), draw_look(seed))
    mesh = tool.mesh(xy)
    return {"mesh": mesh, "spread": tool.spread(mesh, xy)}


def measure_turned(job) -> dict[str, np.ndarray]:
    """job: (folder, size, seed) -> (views, 468, 3) cm in the head's frame, how far from the mesh
    of all views each single one sees the points, across its line of sight; NaN where no face was
    found."""
    folder, size, seed = job
    tool = _tool(folder, size, TURNED)
    xy = tool.landmarks(tool.heads.identity(seed), draw_look(seed))
    ok = np.isfinite(xy).all((1, 2))
    frontal = np.exp(-0.5 * (tool.degrees / 25) ** 2)[:, None] * np.ones(POINTS)
    mesh = triangulate(tool.P[ok], xy[ok], frontal[ok])
    out = np.full((*xy.shape[:2], 3), np.nan)
    for i, camera in enumerate(tool.cameras):
        uv, z = camera.project(mesh)
        r = (xy[i] - uv) * (z / camera.fx)[:, None]
        out[i] = r[:, :1] * camera.c2w[:3, 0] - r[:, 1:] * camera.c2w[:3, 1]
    return {"seen": out}


def measure_expressions(job) -> dict[str, np.ndarray]:
    """job: (folder, size, seed, intensities) -> (53, 468, 3) cm at weight 1, on one head."""
    folder, size, seed, intensities = job
    tool = _tool(folder, size)
    neutral, look = tool.heads.identity(seed), draw_look(seed)
    at_rest = tool.landmarks(neutral, look)
    weight = tool.weights(tool.mesh(at_rest))
    out = np.zeros((EXPRESSIONS, POINTS, 3))
    for k, name in enumerate(tool.heads.pack.expression_names[:EXPRESSIONS]):
        slope = 0.0
        for a in intensities:
            xy = tool.landmarks(tool.heads.expressed(neutral, {name: a}), look)
            both = ~np.isnan(xy + at_rest).any((1, 2))
            P, w = tool.P[both], weight[both]
            delta = triangulate(P, xy[both], w) - triangulate(P, at_rest[both], w)
            slope = slope + a * delta
        out[k] = slope / np.square(intensities).sum()  # least squares through the origin
    return {"shapes": out}


def mirrored(points) -> np.ndarray:
    """(..., 468, 3) as in a mirror: left and right points change places."""
    return points[..., MIRROR, :] * FLIP


def opposite(names) -> np.ndarray:
    """(E,) number of each expression's mirror image: `_L` and `_R`, `jawLeft` and `jawRight`."""
    def other(n):
        if n[-2:] in ("_L", "_R"):
            return n[:-1] + ("R" if n[-1] == "L" else "L")
        return n[:-4] + "Right" if n.endswith("Left") else n[:-5] + "Left" \
            if n.endswith("Right") else n
    return np.array([names.index(other(n)) for n in names])


def align(mesh, to) -> np.ndarray:
    """`mesh` (468, 3) moved, turned and scaled onto `to` (Umeyama 1991)."""
    a, b = mesh - mesh.mean(0), to - to.mean(0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    d = np.array([1, 1, np.sign(np.linalg.det(U @ Vt))])
    return a @ ((U * d) @ Vt).T * ((S * d).sum() / (a**2).sum()) + to.mean(0)


def identity_model(meshes, modes: int):
    """rest (468, 3), modes (I, 468, 3) of unit variance, and the share of variance they hold."""
    meshes = np.concatenate([meshes, mirrored(meshes)])  # symmetric mean and modes
    mean = meshes.mean(0)
    for _ in range(5):
        aligned = np.stack([align(m, mean) for m in meshes])
        mean = aligned.mean(0)
    x = (aligned - mean).reshape(len(aligned), -1)
    _, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = vt[:modes] * (s[:modes] / np.sqrt(len(x) - 1))[:, None]
    return mean, kept.reshape(-1, POINTS, 3), float((s[:modes] ** 2).sum() / (s**2).sum())


def turned_model(seen, views=TURNED) -> np.ndarray:
    """(9, 468, 3): terms of `FaceModel.displacement` from (heads, views, 468, 3).

    Least squares over the views, each of which says nothing along its line of sight; those far
    aside, where the detector guesses, count less.
    """
    cameras = [camera_at(y, p, 64) for y, p in views]
    mean = np.nanmean(seen, axis=0)
    lhs, rhs = 1e-3 * np.eye(27), np.zeros((POINTS, 9, 3))
    for (yaw, pitch), camera, m in zip(views, cameras, mean, strict=True):
        phi = view_terms(camera.position - CENTER)
        across = np.eye(3) - np.outer(camera.forward, camera.forward)
        w = 1 / (1 + (np.hypot(yaw, pitch) / 35) ** 4)
        lhs += w * np.kron(np.outer(phi, phi), across)
        rhs += w * phi[:, None] * m[:, None]
    terms = np.linalg.solve(lhs, rhs.reshape(POINTS, 27).T).T.reshape(POINTS, 9, 3)
    terms = terms.transpose(1, 0, 2)
    return (terms + mirrored(terms) * np.where(VIEW_ODD, -1, 1)[:, None, None]) / 2


def expression_model(deltas, names):
    """(E, 468, 3) mean over heads (H, E, 468, 3) and sides; signal and noise (E,) cm."""
    both = np.concatenate([deltas, mirrored(deltas[:, opposite(list(names))])])
    mean = both.mean(0)
    error = both.std(0, ddof=1) / np.sqrt(len(deltas))  # the mirror images are no new heads
    size = np.linalg.norm(mean, axis=2)
    most = np.argsort(-size, axis=1)[:, :POINTS // 10]
    rows = np.arange(len(names))[:, None]
    signal = np.sqrt((size[rows, most] ** 2).mean(1))
    noise = np.sqrt((error[rows, most] ** 2).sum(2).mean(1))
    return mean, signal, noise


def brow_shapes(heads: DrawnHeads, rest, names) -> np.ndarray:
    """(E, 6, 3) cm: what the mean head's skin does under the stretches of the brows; rest: (468, 3)
    landmarks of that head. Of the geometry: a picture shows a brow where it is."""
    skin = np.unique(heads.pack.part("skin").vertex_ids)
    base = heads.pack.base[skin].astype(np.float64)
    out = np.zeros((len(names), len(OPPOSITE), 3))
    for k, middle in enumerate(centers(rest)):
        off = np.abs(base - middle)
        near = (off[:, 0] < REACH[0]) & (off[:, 1] < REACH[1]) & (off[:, 2] < 2)
        for e, name in enumerate(names):
            out[e, k] = heads.shape(name)[skin[near]].mean(0)
    return (out + out[opposite(list(names))][:, OPPOSITE] * FLIP) / 2


def gather(measure, jobs, work: Path, engine: str, workers: int) -> dict[str, np.ndarray]:
    """The results of all jobs, stacked; those that lie in `work` are not measured again."""
    def file(job):
        return work / f"{measure.__name__}_{job[2]}.npz"

    work.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs if not file(job).is_file()]
    started = time.time()
    for job, found in zip(todo, pmap(measure, todo, engine, workers), strict=True):
        with atomic_write(file(job)) as temporary, open(temporary, "wb") as f:
            np.savez(f, **found)
        print(f"{measure.__name__} {job[2]}: {time.time() - started:.0f} s", flush=True)
    loaded = [dict(np.load(file(job))) for job in jobs]
    return {k: np.stack([r[k] for r in loaded]) for k in loaded[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", help="folder of the head pack")
    parser.add_argument("--work", type=Path, required=True,
                        help="where measurements are kept; a second call goes on from there")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "idf_helpers/face/data"
                        / "face_model.npz")
    for name in ("identities", "turned", "heads", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(MeasureConfig, name))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    config = MeasureConfig(identities=args.identities, turned=args.turned, heads=args.heads,
                           seed=args.seed)
    jobs = [(args.pack, config.size, config.seed + k) for k in range(config.identities)]
    engine = "process" if args.workers > 1 else "serial"

    rest = gather(measure_rest, jobs, args.work, engine, args.workers)
    turned = gather(measure_turned, jobs[:config.turned], args.work, engine, args.workers)
    made = gather(measure_expressions, [(*j, config.intensities) for j in jobs[:config.heads]],
                  args.work, engine, args.workers)

    mean, modes, share = identity_model(rest["mesh"], config.modes)
    names = tuple(DrawnHeads(args.pack).pack.expression_names[:EXPRESSIONS])
    shapes, signal, noise = expression_model(made["shapes"], names)
    terms = turned_model(turned["seen"])
    spread = np.sqrt((rest["spread"] ** 2).mean(0))
    spread = np.sqrt((spread**2 + spread[MIRROR] ** 2) / 2)
    model = FaceModel(mean, modes, shapes, names, terms, signal, noise, spread,
                      brow_shapes(DrawnHeads(args.pack), mean, names))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.out) as temporary, open(temporary, "wb") as f:
        np.savez_compressed(f, **model.arrays())
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB; {config.modes} modes hold "
          f"{share:.1%} of the variance of {config.identities} heads")
    for n, s, e in sorted(zip(names, signal, noise, strict=True), key=lambda r: -r[1]):
        print(f"  {n:18s} signal {10 * s:5.2f} mm, noise {10 * e:5.2f} mm"
              f"{'' if n in model.seen else '   not seen'}")


if __name__ == "__main__":
    main()
