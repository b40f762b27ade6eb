"""How well the style of a few key views comes to all views: ours, optical flow, EbSynth.

python benchmarks/propagation.py [--no-splats]      about six minutes on two cores

Analytic head of the test suite, 48 views of 256 x 256 with exact depth and poses, a painted style
that clings to the surface and has nothing to do with the source's colors. Measured half-way
between the keys, inside the mask. EbSynth is measured where EBSYNTH_BIN or the PATH has it (with
one color guide, fades between both keys; the first frame only where it is slow).
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.data.dataset import Dataset
from idf_helpers.data.frame import Frame
from idf_helpers.data.media import to_uint8, write_image
from idf_helpers.data.transforms import write_transforms
from idf_helpers.metrics import psnr, ssim
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.reconstruction.splats.train import fit
from idf_helpers.stylization.measures import sharpness, warp_error
from idf_helpers.stylization.propagators.ebsynth import EbsynthPropagator
from idf_helpers.stylization.propagators.ebsynth_program import program
from idf_helpers.stylization.propagators.flow import FlowPropagator
from idf_helpers.stylization.propagators.geometry import GeometryPropagator
from idf_helpers.stylization.propagators.patchmatch_propagator import (
    PatchmatchPropagator,
)
from idf_helpers.stylization.propagators.propagator import StyledFrame
from tests.stylization.analytic_head import head_scene

COUNT, SIZE = 48, 256
HEAD_WIDTH = 1.36  # from ear to ear, of `analytic_head.PARTS`


class Nearest:
    """The nearest key, copied: what any method has to beat."""

    def __init__(self, views, keys):
        self.keys = keys

    def frame(self, index):
        k = min(self.keys, key=lambda k: min(abs(k - index), COUNT - abs(k - index)))
        return StyledFrame(self.keys[k])


def measure(kind, views, styled, step, limit=None, views_for_mask=None):
    """PSNR and SSIM inside the mask, background pixels inside it, CPU seconds a frame."""
    keys = {k: styled[k] for k in range(0, COUNT, step)}
    began = time.process_time()
    propagator = kind(views, keys)
    setup = time.process_time() - began
    targets = list(range(step // 2, COUNT, step))[:limit]
    propagator.frame(targets[0])  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    made = {k: propagator.frame(k).rgb for k in targets}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rows, white = [], 0
    for k, rgb in made.items():
        mask = (views_for_mask or views)[k].mask
        a = mask[..., None]
        out, inside = rgb * a + 1 - a, mask > 0.5
        both = [np.where(inside[..., None], x, 1) for x in (out, styled[k])]
        window = ssim_inside(*both, inside)
        rows.append((psnr(out, styled[k], inside), window))
        white += int((np.abs(rgb - 1).max(-1) < 2 / 255)[mask > 0.95].sum())
    p, s = np.mean(rows, axis=0)
    seconds = (wall if kind is EbsynthPropagator else cpu) / len(targets)
    return {"psnr": p, "ssim": s, "background": white, "s": seconds, "setup": setup,
            "frames": len(targets)}


def ssim_inside(a, b, inside):
    """Of the smallest box around the mask, everything else white in both."""
    r, c = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return ssim(a[r[0]:r[-1] + 1, c[0]:c[-1] + 1], b[r[0]:r[-1] + 1, c[0]:c[-1] + 1])


def splat_views(scene, budget_s):
    """The same views with the depth of splats that were trained on the source pictures."""
    with tempfile.TemporaryDirectory() as folder:
        root, frames = Path(folder), []
        for k, view in enumerate(scene.views):
            a = view.mask[..., None]
            rgb = np.clip((view.rgb - 1 + a) / np.maximum(a, 1e-6), 0, 1)
            path = root / f"train/r_{k}.png"
            write_image(path, to_uint8(np.concatenate([rgb, a], -1)))
            frames.append(Frame(f"train/r_{k}", path, view.camera,
                                "test" if k % 8 == 4 else "train"))
        write_transforms(root, frames)
        model = fit(Dataset.open(root), SplatConfig(budget_s=budget_s, sh_degree=1))
        from idf_helpers.stylization.views import DatasetViews
        views = DatasetViews(Dataset.open(root), model)
        views.settle_depth()
        views = list(views)
    order = {v.name: v for v in views}
    return [replace(order[f"train/r_{k}"], name=f"r_{k}") for k in range(COUNT)]


def depth_errors(scene, views):
    """Median and 90th percentile of the depth's error where a pixel is nothing but head, and the
    share of such pixels without depth; per cent, the errors of the head's width."""
    errors = []
    for true, view in zip(scene.views, views, strict=True):
        inside = np.isfinite(true.depth) & (true.mask > 0.95)
        errors.append((view.depth - true.depth)[inside])
    errors = 100 * np.abs(np.concatenate(errors)) / HEAD_WIDTH
    missing = 100 * float(np.isnan(errors).mean())
    return float(np.nanmedian(errors)), float(np.nanpercentile(errors, 90)), missing


def drift(scene, step, seed=0):
    """Keys whose colors drift: gain 0.8 to 1.2, offset -12 to 12 of 255, per channel."""
    rng = np.random.default_rng(seed)
    return {k: np.clip(scene.styled[k] * rng.uniform(0.8, 1.2, 3)
                       + rng.uniform(-12, 12, 3) / 255, 0, 1).astype(np.float32)
            for k in range(0, COUNT, step)}


def main() -> None:
    scene = head_scene(COUNT, SIZE)
    rows = []
    for step, keys in ((6, 8), (12, 4)):
        for name, kind in (("nearest key", Nearest), ("flow", FlowPropagator),
                           ("geometry", GeometryPropagator)):
            rows.append((f"{name}, {keys} keys", measure(kind, scene.views, scene.styled, step)))
    rows.append(("patchmatch, 8 keys", measure(PatchmatchPropagator, scene.views, scene.styled, 6,
                                               limit=2)))
    if program():
        rows.append(("EbSynth, color guide, 8 keys",
                     measure(EbsynthPropagator, scene.views, scene.styled, 6, limit=2)))
        rows.append(("geometry, 8 keys, the same frames",
                     measure(GeometryPropagator, scene.views, scene.styled, 6, limit=2)))
    if "--no-splats" not in sys.argv:
        views = splat_views(scene, 60.0)
        for step, keys in ((6, 8), (12, 4)):
            rows.append((f"geometry with depth of splats, {keys} keys",
                         measure(GeometryPropagator, views, scene.styled, step, None,
                                 scene.views)))
    found = dict(rows)
    print(f"{'method':36s}  PSNR dB   SSIM  s/frame  background px  frames")
    for name, r in rows:
        print(f"{name:36s}  {r['psnr']:7.2f}  {r['ssim']:.3f}  {r['s']:7.3f}  "
              f"{r['background']:13d}  {r['frames']:6d}")
    if not program():
        print("EbSynth: not measured, no program (EBSYNTH_BIN)")

    keys = drift(scene, 6)
    print("\nkeys with color drift          45 degree warp error   sharpness of the keys'")
    plain = np.mean([sharpness(scene.styled[k], scene.views[k].mask) for k in range(3, COUNT, 6)])
    for name, kind in (
            ("nearest key", Nearest), ("flow", FlowPropagator),
            ("geometry, as they are", partial(GeometryPropagator, harmonize=False)),
            ("geometry, harmonized", GeometryPropagator)):
        p = kind(scene.views, keys)
        frames = {k: p.frame(k).rgb for k in range(3, COUNT, 6)}
        error = warp_error(scene.views, [frames.get(k) for k in range(COUNT)], 6,
                           pairs=[(k, (k + 6) % COUNT) for k in range(3, COUNT, 6)])
        sharp = np.mean([sharpness(frames[k], scene.views[k].mask) for k in frames]) / plain
        found[f"drift, {name}"] = error
        print(f"{name:30s}  {error:20.2f}   {sharp:8.2f}")
    true = warp_error(scene.views, scene.styled, 6,
                      pairs=[(k, (k + 6) % COUNT) for k in range(3, COUNT, 6)])
    print(f"{'the truth, no drift':30s}  {true:20.2f}       1.00")

    g8, g4 = found["geometry, 8 keys"], found["geometry, 4 keys"]
    checks = [
        ("8 keys: PSNR", g8["psnr"], ">=", 31.0), ("8 keys: SSIM", g8["ssim"], ">=", 0.93),
        ("4 keys: PSNR", g4["psnr"], ">=", 30.0),
        ("8 keys: above flow, dB", g8["psnr"] - found["flow, 8 keys"]["psnr"], ">=", 5.0),
        ("4 keys: above flow, dB", g4["psnr"] - found["flow, 4 keys"]["psnr"], ">=", 5.0),
        ("harmonized: warp error", found["drift, geometry, harmonized"], "<=", 3.5),
        ("background pixels in the mask", g8["background"] + g4["background"], "<=", 0),
        ("CPU seconds a frame", max(g8["s"], g4["s"]), "<=", 0.5)]
    if "--no-splats" not in sys.argv:
        g = {n: found[f"geometry with depth of splats, {n} keys"]["psnr"] for n in (8, 4)}
        median, most, missing = depth_errors(scene, views)
        checks += [
            ("depth of splats, 8 keys: PSNR", g[8], ">=", 38.0),
            ("depth of splats, 8 keys: dB less", g8["psnr"] - g[8], "<=", 4.0),
            ("depth of splats, 4 keys: dB less", g4["psnr"] - g[4], "<=", 4.0),
            ("depth of splats: median error, %", median, "<=", 0.5),
            ("depth of splats: 90 % of errors, %", most, "<=", 2.0),
            ("depth of splats: none, % of pixels", missing, "<=", 1.0)]
    print("\nwhat                                 measured   limit")
    for what, value, sign, limit in checks:
        good = value >= limit if sign == ">=" else value <= limit
        print(f"{what:36s}  {value:8.3f}   {sign} {limit:g}{'' if good else '   MISSED'}")


if __name__ == "__main__":
    main()
