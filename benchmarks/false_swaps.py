"""Faces put where none is seen, and frames that lose theirs, by swap backend.

    python benchmarks/false_swaps.py [--sheet FILE.png]

All views of the bundled multi-view head and of the turntable, by yaw; what needs no camera also
gets the mirror image of every view from behind. `neural` is what GHOST and
the ONNX swappers do before their network runs: the face must be found, surely enough, and not be
turned too far. From behind: beyond 110 degrees no face can be found; the mesh of `uv` may still
paint the strip of cheek that shows, up to 155 degrees.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from idf_helpers.data import media, samples
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.runtime.machine import cpu_count, cpu_name
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.config import SwapConfig
from idf_helpers.swapping.evaluate import BACK, BACK_OF_MESH, NEAR, head_yaws
from idf_helpers.swapping.face_selection import FacePicker
from idf_helpers.swapping.mesh_method import MeshMethod
from idf_helpers.swapping.neural.align import MAX_YAW
from idf_helpers.swapping.result import SwapResult
from idf_helpers.swapping.source import load_source
from idf_helpers.swapping.uv_method import UvMethod


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    sheet: Path | None = None
    """Where to write the views within 60 degrees that were lost, and all false swaps."""


def neural(image, camera) -> SwapResult:
    pairs, nothing = FacePicker().pick(image, LandmarkDetector())
    if nothing is not None:
        return nothing
    far = abs(pairs[0][0].yaw) > MAX_YAW
    return SwapResult.unchanged(image, "extreme_pose", "") if far else \
        SwapResult(image, np.ones(image.shape[:2], np.float32), "swapped")


def main(options: Options) -> None:
    source = load_source(samples.photo("C"))
    print(f"{cpu_name()}, {cpu_count()} cores\n")
    statuses: dict[str, list[tuple[float, str]]] = {"uv": [], "mesh": [], "neural": []}
    wrong = []
    for name in ("head_multiview", "head_turntable"):
        frames = list(samples.dataset(name).frames)
        uv, mesh = (method.prepare(frames, (source,), None, Reporter(), SwapConfig())
                    for method in (UvMethod("uv"), MeshMethod("mesh")))
        yaws = np.abs(head_yaws(frames, uv.fitted.mesh.vertices))
        for frame, yaw in zip(frames, yaws, strict=True):
            image = frame.image()
            mirror = np.ascontiguousarray(image[:, ::-1])
            tries = [("uv", uv, image), ("mesh", mesh, image), ("neural", neural, image)]
            if yaw >= BACK:
                tries += [("mesh", mesh, mirror), ("neural", neural, mirror)]
            for kind, swap, picture in tries:
                result = swap(picture, frame.camera)
                statuses[kind].append((float(yaw), result.status))
                back = BACK_OF_MESH if kind == "uv" else BACK
                if (yaw <= NEAR) != (result.status == "swapped") and (yaw <= NEAR or yaw >= back):
                    wrong.append((f"{kind} {yaw:.0f} {result.status}", result.image))
    print("swapped of the views, by |yaw|, degrees")
    print("               uv         mesh       neural")
    for low, high in ((0, 30), (30, 60), (60, 90), (90, 110), (110, 155), (155, 181)):
        row = [[s for y, s in rows if low <= y < high] for rows in statuses.values()]
        print(f"{low:4}-{high:<4}" + "".join(f"{r.count('swapped'):5} of {len(r):3}" for r in row))
    print()
    for kind, rows in statuses.items():
        back = BACK_OF_MESH if kind == "uv" else BACK
        behind = [s == "swapped" for y, s in rows if y >= back]
        near = [s != "swapped" for y, s in rows if y <= NEAR]
        for what, value, sign, limit in (
                (f"{kind}: views from behind (>= {back:.0f} deg)", len(behind), ">=",
                 60 if kind != "uv" else 20),
                (f"{kind}: false swaps on them", sum(behind), "<=", 0),
                (f"{kind}: lost within {NEAR:.0f} deg, %", 100 * np.mean(near), "<=", 5)):
            good = value <= limit if sign == "<=" else value >= limit
            print(f"{what:44} {value:7.1f}   limit {sign} {limit:g}   {'ok' if good else 'MISSED'}")
    if options.sheet and wrong:
        media.write_image(options.sheet, contact_sheet([p for _, p in wrong],
                                                       captions=[w for w, _ in wrong]))


if __name__ == "__main__":
    main(tyro.cli(Options))
