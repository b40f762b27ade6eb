"""The view-consistent swap on the sample head: cost, consistency, likeness, shape.

    python benchmarks/uv_swap.py [--sources B C] [--sheet FOLDER]

Times are process CPU time, compiled code warm. Spread: how much the color of a point of the true
surface changes between the views within +-60 degrees, over points inside the swapped region that
face the camera (cosine > 0.45), are not hidden and are seen in at least 5 views; the same points
and views for the original, the per-frame (mesh) and the uv swap, all in the target's shape, skin
and eyes apart; within +-90 degrees for the original and uv, with the fitted mesh and with its
points moved onto the true surface ("known geometry"). With the source's proportions the points
move as the mesh around them does ("bent"); what bends without being swapped (ears, neck, jaw) is
measured alike ("around"). A beard is as fine as a pixel and shows every error of the mesh; bare
skin does not.
Likeness: views within +-30
degrees whose inner face, aligned by its own landmarks, has a higher HOG similarity to the source
after the swap.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from scipy.spatial import cKDTree
from surface_distance import surface_distance

from idf_helpers.data import media, samples
from idf_helpers.data.cameras import scene_frame, yaw_pitch
from idf_helpers.face import topology
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.mesh import vertex_normals
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.swapping import metrics
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.head_bend import toward_sources
from idf_helpers.swapping.mesh.per_picture import swap_mesh
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.mesh.triangulate import fit_face
from idf_helpers.swapping.source import load_source

BACK = 155  # degrees of yaw beyond which nothing of the face can be seen


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    sources: tuple[str, ...] = ("B", "C")
    """Bundled photos to put onto the head."""
    sheet: Path | None = None
    """Folder for contact sheets of the swapped views, by yaw; none where not given."""


def timed(work, *args):
    start = time.process_time()
    result = work(*args)
    return result, time.process_time() - start


def main(options: Options) -> None:
    data = samples.dataset("head_multiview")
    frames = list(data.train)
    truth = np.load(samples.path("head_multiview") / "ground_truth.npz")
    scene = scene_frame(f.camera for f in data.frames)
    yaw = np.array([yaw_pitch(f.camera, scene)[0] for f in frames])
    face_width = float(np.linalg.norm(truth["landmarks68"][0] - truth["landmarks68"][16]))
    print(f"{len(frames)} views of {data.size[0]}x{data.size[1]}; {cpu_name()}, "
          f"{cpu_count()} cores")
    detector = LandmarkDetector()
    images = [f.image() for f in frames]
    detector.detect(images[0])
    found, detect_s = timed(lambda: [detector.detect(f.image()) for f in frames])
    fit_face(frames, found)  # compiles
    mesh, fit_s = timed(fit_face, frames, found)
    distance = surface_distance(truth["surface_points"], mesh.vertices, mesh.triangles)
    distance = 100 * distance[np.isfinite(distance)] / face_width
    print(f"faces found in {sum(bool(f) for f in found)} views, {mesh.inliers.sum()} agree")
    print(f"surface error {distance.mean():.2f} % of the face width, p95 "
          f"{np.percentile(distance, 95):.2f} ({len(distance)} points)")
    print(f"detection {detect_s:.2f} s CPU, fit {fit_s:.2f} s CPU")
    true_mesh = onto_surface(mesh, truth, face_width)
    irises = [f[0].iris if f else None for f in found]
    for name in options.sources:
        measure(name, frames, images, yaw, mesh, found, irises, truth, detector, detect_s + fit_s,
                options.sheet)
        source = load_source(samples.photo(name), detector)
        fitted, known = (wide_spread(frames, images, yaw, m, irises, source, truth)
                         for m in (mesh, true_mesh))
        inside, around = bent_spread(frames, images, yaw, mesh, irises, source, truth)
        print(f"  bent, within 60 deg      original {inside[0]:.2f}, uv {inside[1]:.2f}; around "
              f"the face: original {around[0]:.2f}, bent {around[1]:.2f}")
        good = "ok" if known[1] <= 1.6 and fitted[1] < fitted[0] else "MISSED"
        print(f"  spread within 90 deg     original {fitted[0]:.2f}, uv {fitted[1]:.2f}; known "
              f"geometry: uv {known[1]:.2f}   limit <= 1.6 there, and below the original: {good}")


def onto_surface(mesh, truth, width):
    """The mesh with each point moved along the normal onto the true surface nearby."""
    points, normals = truth["surface_points"], truth["surface_normals"]
    gap, near = cKDTree(points).query(mesh.vertices, k=6)
    weight = 1 / (gap + 0.01 * width) ** 2
    n = (normals[near] * weight[..., None]).sum(1)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    off = ((mesh.vertices[:, None] - points[near]) * normals[near]).sum(-1)
    off = (off * weight).sum(1) / weight.sum(1)
    vertices = mesh.vertices - n * np.where(gap[:, 0] < 0.05 * width, off, 0)[:, None]
    return replace(mesh, vertices=vertices, normals=vertex_normals(vertices))


def wide_spread(frames, images, yaw, mesh, irises, source, truth) -> list[float]:
    """Color spread of the original and of the uv swap within 90 degrees."""
    texture = bake(mesh, frames, source, irises=irises)
    views = []
    for i in np.flatnonzero(np.abs(yaw) <= 90):
        result = render_swap(images[i], frames[i].camera, mesh, texture)
        at, ok = metrics.visible_points(frames[i].camera, truth["surface_points"],
                                        truth["surface_normals"], mesh.vertices, mesh.triangles)
        k = np.clip(np.nan_to_num(at), 0, np.array(images[i].shape[1::-1]) - 1).astype(int)
        views.append((images[i], result.image, at, ok & (result.mask[k[:, 1], k[:, 0]] > 0.9)))
    return [metrics.color_spread((v[p], *v[2:]) for v in views) for p in (0, 1)]


def bent_spread(frames, images, yaw, mesh, irises, source, truth):
    """Color spread of the original and of the uv swap in the source's proportions, within 60
    degrees: of points of the face, and of those around it that only bend."""
    texture = bake(mesh, frames, source, irises=irises)
    bend = toward_sources(mesh, [source], frames=frames)
    points, normals = truth["surface_points"], truth["surface_normals"]
    gap, near = cKDTree(mesh.vertices).query(points, k=6)
    weight = 1 / (gap + 0.01 * mesh.width) ** 2
    moved = points + (weight[..., None] * bend.motion[near]).sum(1) / weight.sum(1)[:, None]
    close = gap[:, 0] < 0.06 * mesh.width
    inside, around = [], []
    for i in np.flatnonzero(np.abs(yaw) <= 60):
        camera = frames[i].camera
        result = render_swap(images[i], camera, mesh, texture, bend)
        bent = bend.moved(mesh, bend.amount(camera.position))
        was, seen = metrics.visible_points(camera, points, normals, mesh.vertices, mesh.triangles)
        now, still = metrics.visible_points(camera, moved, normals, bent.vertices, mesh.triangles)
        k = np.clip(np.nan_to_num(now), 0, np.array(images[i].shape[1::-1]) - 1).astype(int)
        mask = result.mask[k[:, 1], k[:, 0]]
        ok = seen & still & close
        inside.append((images[i], result.image, was, now, ok & (mask > 0.9)))
        around.append((images[i], result.image, was, now, ok & (mask < 0.02) & (mask > 0)))
    return [[metrics.color_spread((v[p], v[2 + p], v[4]) for v in views) for p in (0, 1)]
            for views in (inside, around)]


def measure(name, frames, images, yaw, mesh, found, irises, truth, detector, before_s, sheet
            ) -> None:
    source = load_source(samples.photo(name), detector)

    def prepare():
        return (bake(mesh, frames, source, irises=irises),
                toward_sources(mesh, [source], frames=frames))

    prepare()
    (texture, bend), bake_s = timed(prepare)
    render_swap(images[0], frames[0].camera, mesh, texture, bend)
    bent, draw_s = timed(lambda: [render_swap(i, f.camera, mesh, texture, bend)
                                  for i, f in zip(images, frames, strict=True)])
    # The target's shape: its surface is known, and the per-frame swap beside it keeps it too.
    uv = [render_swap(i, f.camera, mesh, texture) for i, f in zip(images, frames, strict=True)]
    flat = [swap_mesh(i, f[0], source, 0.0) if f else None
            for i, f in zip(images, found, strict=True)]

    rims = mesh.vertices[np.concatenate([topology.LEFT_EYE, topology.RIGHT_EYE])]
    eyes = cKDTree(rims).query(truth["surface_points"])[0] < 0.035 * mesh.width
    near = [i for i in range(len(frames)) if abs(yaw[i]) <= 60
            and flat[i] is not None and flat[i].status == uv[i].status == "swapped"]
    seen = []
    for i in near:
        at, ok = metrics.visible_points(frames[i].camera, truth["surface_points"],
                                        truth["surface_normals"], mesh.vertices, mesh.triangles)
        inside = np.clip(np.nan_to_num(at), 0, np.array(images[i].shape[1::-1]) - 1).astype(int)
        seen.append((at, ok & (uv[i].mask[inside[:, 1], inside[:, 0]] > 0.9)))
    spread, of_eyes = ([metrics.color_spread((pictures[i], at, ok & part)
                                             for i, (at, ok) in zip(near, seen, strict=True))
                        for pictures in (images, [r and r.image for r in flat],
                                         [r.image for r in uv])] for part in (~eyes, eyes))

    closer, gain = [], []
    for i in np.flatnonzero((np.abs(yaw) <= 30) & np.array([bool(f) for f in found])):
        p, q = found[i][0].points, source.landmarks.points
        was = metrics.hog_similarity(images[i], p, source.image, q)
        after = detector.detect(bent[i].image)  # each picture is aligned by its own landmarks
        now = metrics.hog_similarity(bent[i].image, after[0].points, source.image, q) \
            if after else 0
        closer.append(now > was)
        gain.append((was, now))
    was, now = np.mean(gain, axis=0)
    swapped = np.array([r.status == "swapped" for r in uv])
    same = all(np.array_equal(r.image[r.mask == 0], i[r.mask == 0])
               for r, i in zip(uv + bent, images + images, strict=True)) \
        and all(np.array_equal(r.image[..., 3], i[..., 3])
                for r, i in zip(uv, images, strict=True))
    guessed = [np.mean([bent[i].guessed for i in np.flatnonzero(swapped & (np.abs(yaw) >= low)
                                                               & (np.abs(yaw) < low + 30))])
               for low in (0, 30, 60)]
    print(f"\nsource {name}")
    print(f"  detection + fit + bake   {before_s + bake_s:6.2f} s CPU (bake {bake_s:.2f})")
    print(f"  each frame               {1000 * draw_s / len(frames):6.2f} ms CPU")
    print(f"  spread original / mesh / uv over {len(near)} views: "
          f"{spread[0]:.2f} / {spread[1]:.2f} / {spread[2]:.2f}; uv {spread[1] / spread[2]:.1f}x "
          f"below mesh; of the eyes {of_eyes[0]:.2f} / {of_eyes[1]:.2f} / {of_eyes[2]:.2f}")
    print(f"  closer to the source     {sum(closer)} of {len(closer)} views "
          f"(HOG cosine {was:.3f} -> {now:.3f})")
    print(f"  swapped within 90 deg    {swapped[np.abs(yaw) <= 90].sum()} of "
          f"{(np.abs(yaw) <= 90).sum()}; beyond {BACK}: {swapped[np.abs(yaw) > BACK].sum()} of "
          f"{(np.abs(yaw) > BACK).sum()}")
    print(f"  outside the mask (and alpha in the target's shape) unchanged: {same}")
    print("  of the face guessed, by 30 degrees of yaw: "
          + ", ".join(f"{g:.2f}" for g in guessed))
    if sheet is not None:
        order = [int(np.argmin(np.abs(yaw - a))) for a in np.linspace(-90, 90, 16)]
        cells = [media.to_uint8(media.over(bent[i].image)) for i in order]
        rows = [np.concatenate(cells[k:k + 4], axis=1) for k in range(0, 16, 4)]
        media.write_image(sheet / f"uv_{name}.png", np.concatenate(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
