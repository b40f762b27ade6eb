"""What the measures of `idf eval` say where the truth is known: the bundled heads.

    python benchmarks/swap_measures.py

Identity: distance of a view of the head to the same head from the front, and to two other heads, by
yaw: how far a perfect picture of a person lies from a photo, and whether it is told from others.
Pose and expression: pairs of frames of the talking head, whose poses and weights are known; and
landmarks of two people who do the same, projected from the face model, which should differ by
nothing. `one` fits each picture by itself, `clip` all frames with one shape, `mean` the mean face.
Identity needs `idf download identity`, LPIPS `idf download lpips`; without them they are left out,
which is said.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from idf_helpers.data import media, samples
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.downloads import IDENTITY
from idf_helpers.face.fidelity import REGIONS, expression_error, fit_faces, pose_error
from idf_helpers.face.frame_fitter import FrameFitter, Lens
from idf_helpers.face.head_model import FaceModel
from idf_helpers.face.identity import IdentityNet, identity_distance
from idf_helpers.face.landmarks import FaceLandmarks
from idf_helpers.face.pose import rotation
from idf_helpers.face.shape_fit import FittedFace
from idf_helpers.lpips_weights import LPIPS
from idf_helpers.perceptual import Lpips
from idf_helpers.runtime.download import missing
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.evaluate import head_yaws, lens_of
from idf_helpers.swapping.frame_measures import YAW_BINS
from idf_helpers.swapping.uv_method import fit_views

MODEL = FaceModel.load()
LIPS_NAMES, LIPS = REGIONS["lips"]
COUNTED = np.array([n.startswith(LIPS_NAMES) for n in MODEL.expression_names])
PAIRS, PEOPLE = 300, 24


def identity_by_yaw(detector: LandmarkDetector) -> None:
    """Print distances of the views of head A to A from the front and to B and C."""
    net, frames = IdentityNet().open(), samples.dataset("head_multiview").frames
    yaws = np.abs(head_yaws(frames, fit_views(frames, Reporter())[0].vertices))
    front = frames[int(yaws.argmin())]

    def embedded(image):
        found = detector.detect(image)
        return net.embed(image, found[0]) if found else None

    known = {"itself": embedded(front.image()),
             **{n: embedded(media.read_image(samples.photo(n))) for n in ("B", "C")}}
    views = {n: [e for f, y in zip(frames, yaws, strict=True) if low <= y < high and f is not front
                 and (e := embedded(f.image())) is not None]
             for n, (low, high) in YAW_BINS.items()}
    print("\n| identity distance of a view to | " + " | ".join(f"{n} deg" for n in YAW_BINS) + " |")
    print("| --- " * (len(YAW_BINS) + 1) + "|")
    for name, to in known.items():
        cells = [np.array([identity_distance(e, to) for e in each]) for each in views.values()]
        print(f"| {name} | " + " | ".join(
            f"{c.mean():.2f} ({c.min():.2f}–{c.max():.2f})" if len(c) else "–" for c in cells)
            + " |")


def mean_fit(fitter: FrameFitter, face: FaceLandmarks) -> FittedFace:
    """Return a fit with the mean face."""
    return FittedFace(*fitter.fit(face.xy)[:2], fitter, np.zeros(0))


def lips_moved(a: np.ndarray, b: np.ndarray) -> float:
    """Return mm between two vectors of all the model's weights."""
    moved = np.tensordot((b - a) * COUNTED, MODEL.expression[:, LIPS], 1)
    return float(10 * np.linalg.norm(moved, axis=1).mean())


def talking(detector: LandmarkDetector) -> None:
    """Print errors of pose and expression on pairs of frames whose truth is known."""
    data = samples.dataset("head_talking")
    found = [(f, d[0]) for f in data.frames[::12] if (d := detector.detect(f.image()))]
    frames, faces = zip(*found, strict=True)
    lenses = [lens_of(f.camera) for f in frames]
    order = [data.expression_names.index(n) for n in MODEL.expression_names]
    weights = np.stack([f.expression for f in frames])[:, order]
    fitter = FrameFitter(MODEL, lenses[0])
    fits = {"one": [fit_faces([f], [lens])[0] for f, lens in zip(faces, lenses, strict=True)],
            "clip": fit_faces(faces, lenses), "mean": [mean_fit(fitter, f) for f in faces]}
    pairs = [p for p in np.random.default_rng(0).integers(0, len(frames), (PAIRS, 2))
             if p[0] != p[1]]
    true = np.array([lips_moved(weights[i], weights[j]) for i, j in pairs])
    turned = []
    for i, j in pairs:
        R = frames[i].camera.c2w[:3, :3].T @ frames[j].camera.c2w[:3, :3]
        turned.append(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))
    print(f"\n| head that talks, {len(pairs)} pairs | lips, mm: true | measured | off by | "
          "correlation | pose, deg: true | off by |\n" + "| --- " * 7 + "|")
    for name, fitted in fits.items():
        mm = np.array([expression_error(fitted[i], fitted[j]) for i, j in pairs])
        deg = np.array([pose_error(fitted[i], fitted[j]) for i, j in pairs])
        print(f"| {name} | {true.mean():.2f} | {mm.mean():.2f} | {np.abs(mm - true).mean():.2f} | "
              f"{np.corrcoef(mm, true)[0, 1]:.2f} | {np.mean(turned):.1f} | "
              f"{np.abs(deg - turned).mean():.1f} |")


def people() -> None:
    """Print what two people who do the same differ by, and one person before and after."""
    rng, lens = np.random.default_rng(0), Lens.of(30, 512, 512)
    anybody, rows = FrameFitter(MODEL, lens), []
    pose = np.eye(4)
    pose[:3, :3] = rotation([np.radians(3), 0, 0]) @ rotation([0, np.radians(5), 0])
    pose[2, 3] = -60

    def seen(identity, **expression) -> tuple[FaceLandmarks, np.ndarray]:
        fitter = FrameFitter(MODEL, lens, MODEL.vertices(identity))
        points = np.zeros((468, 3), np.float32)
        points[:, :2] = fitter.project(
            np.array([expression.get(n, 0.0) for n in MODEL.seen]), pose)
        return FaceLandmarks(points, 1.0, 1.0), MODEL.weights(expression)

    kinds = (dict(mouthSmile_L=0.5, mouthSmile_R=0.5, jawOpen=0.2),
             dict(jawOpen=0.4, mouthFunnel=0.3))
    for k in range(PEOPLE):
        who = [rng.normal(size=10) * 0.6 for _ in range(2)]
        heads = [seen(who[0], **kinds[k % 2]), seen(who[1], **kinds[k % 2]), seen(who[1])]
        row = [lips_moved(heads[1][1], heads[2][1])]
        for fit in (lambda f: fit_faces([f], [lens])[0], lambda f: mean_fit(anybody, f)):
            a, b, still = (fit(face) for face, _ in heads)
            row += [expression_error(a, b), expression_error(b, still), pose_error(a, b)]
        rows.append(row)
    true, *values = np.mean(rows, 0)
    print(f"\n| {PEOPLE} pairs of people, lips, mm | two who do the same (true: 0) | one who does, "
          f"and at rest (true: {true:.2f}) | pose of the two, deg (true: 0) |\n"
          + "| --- " * 4 + "|")
    for name, part in (("one", values[:3]), ("mean", values[3:])):
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in part) + " |")


def times(detector: LandmarkDetector, lacks: dict[str, str | None]) -> None:
    """Print milliseconds a face."""
    image = media.read_image(samples.photo("B"))
    face = detector.detect(image)[0]
    lens = Lens.of(30, image.shape[1], image.shape[0])
    steps = {"fit of one picture, its shape with it": lambda: fit_faces([face], [lens])}
    if not lacks["identity"]:
        net = IdentityNet().open()
        steps["identity"] = lambda: net.embed(image, face)
    if not lacks["lpips"]:
        lpips, small = Lpips().open(), media.resize_area(image, 256, 256)[..., :3]
        steps["LPIPS of 256 x 256"] = lambda: lpips(small, small[:, ::-1])
    print("\n| step | ms |\n| --- | --- |")
    for name, step in steps.items():
        step()
        spent = []
        for _ in range(7):
            started = time.process_time()
            step()
            spent.append(1000 * (time.process_time() - started))
        print(f"| {name} | {np.median(spent):.0f} |")


if __name__ == "__main__":
    print(f"{cpu_name()}, {cpu_count()} cores; times are of the processor")
    looking = LandmarkDetector()
    lack = {m.name: missing(m) for m in (IDENTITY, LPIPS)}
    for text in filter(None, lack.values()):
        print(f"left out: {text}")
    if not lack["identity"]:
        identity_by_yaw(looking)
    talking(looking)
    people()
    times(looking, lack)
