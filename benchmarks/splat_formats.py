"""Splat formats: size, quality of the round trip, and speed and memory of writing.

    python benchmarks/splat_formats.py RUN [--views 8] [--million]

RUN: a run folder of splats, e.g. of the bundled head. For each format: bytes against the .ply, PSNR
of renders of what is read back against renders of the original, and against what an independent
reader made of it (`--independent`: a folder with NAME.FORMAT.ply that such a tool converted).
--million: one million Gaussians of degree 3 (the head's, jittered) are written in a process of
their own; seconds, and peak memory of that process.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from idf_helpers.data.cameras import orbit, scene_frame
from idf_helpers.exporting import Model, export
from idf_helpers.metrics import psnr
from idf_helpers.provenance import Mark
from idf_helpers.reconstruction.splats.formats.axes import COLMAP, Axes
from idf_helpers.reconstruction.splats.formats.registry import FORMATS, read
from idf_helpers.reconstruction.splats.formats.turn import turned
from idf_helpers.reconstruction.splats.formats.writing import exporters
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.runtime.machine import peak_rss_mb

NAMES = [f[1:] for f, one in FORMATS.items() if one.writer]
MILLION = 1_000_000


def back(scene: GaussianScene, file: Path, suffix: str) -> GaussianScene:
    """The Gaussians of a file, turned back into the world of the scene."""
    g, laid_down = read(file).gaussians, FORMATS[suffix].axes
    if laid_down is not None:
        g = turned(g, laid_down.turn_to(Axes.of(scene_frame(scene.cameras))))
    return replace(scene, gaussians=g)


def quality(run: Path, views: int, independent: Path | None) -> None:
    model = Model.open(run)
    scene = model.scene
    cameras = orbit(scene.cameras, views, 6.0, resolution=400)
    wanted = [scene.render(c) for c in cameras]

    def loss(other: GaussianScene) -> float:
        return float(np.mean([psnr(other.render(c), w) for c, w in zip(cameras, wanted,
                                                                       strict=True)]))

    with tempfile.TemporaryDirectory() as folder:
        ply = export(model, Path(folder) / "a.ply").stat().st_size
        print(f"{len(scene.gaussians)} Gaussians, .ply {ply / 1e6:.2f} MB, {views} views\n")
        print("| format | MB | of the .ply | PSNR, our reader | PSNR, independent reader |")
        print("|---|---|---|---|---|")
        for name in NAMES[1:]:
            out = export(model, Path(folder) / f"a.{name}")
            theirs = independent / f"a.{name}.ply" if independent else None
            other = f"{loss(back_from(scene, theirs, name)):.1f} dB" if theirs and theirs.is_file(
            ) else "-"
            print(f"| .{name} | {out.stat().st_size / 1e6:.2f} | {out.stat().st_size / ply:.1%} | "
                  f"{loss(back(scene, out, '.' + name)):.1f} dB | {other} |", flush=True)


def back_from(scene: GaussianScene, ply: Path, name: str) -> GaussianScene:
    """The same of a .ply that splat-transform made of a file of the format `name`: +y down."""
    laid_down = FORMATS["." + name].axes and COLMAP
    g = read(ply).gaussians
    return replace(scene, gaussians=turned(g, laid_down.turn_to(
        Axes.of(scene_frame(scene.cameras)))) if laid_down else g)


def many(g: Gaussians, count: int) -> Gaussians:
    """`count` Gaussians: those of a model again and again, each time a little elsewhere."""
    rng = np.random.default_rng(0)
    picked = g[np.resize(np.arange(len(g)), count)]
    noise = {n: rng.normal(0, s, a.shape).astype(np.float32) for (n, a), s in zip(
        picked.arrays().items(), (0.01, 0.1, 0.05, 0.3, 0.02), strict=True)}
    return Gaussians(**{n: a + noise[n] for n, a in picked.arrays().items()}).checked()


def one_million(folder: Path, name: str) -> None:
    """Write what lies in a folder as arrays, and print what it took."""
    from idf_helpers.reconstruction.splats.framing import default_cameras, guess_frame

    g = Gaussians(**{f.stem: np.load(f) for f in folder.glob("*.npy")})
    frame = guess_frame(g[::100])
    scene = GaussianScene(g, object(), default_cameras(frame), frame=frame)
    before = peak_rss_mb()
    model = Model(scene, Mark("million", "Gaussian splats"), folder, "million", exporters())
    start, computed = time.perf_counter(), time.process_time()
    out = export(model, folder / f"a.{name}")
    took, computed = time.perf_counter() - start, time.process_time() - computed
    print(f"| .{name} | {out.stat().st_size / 1e6:.1f} | {took:.1f} | {computed:.1f} | "
          f"{before:.0f} | {peak_rss_mb():.0f} |", flush=True)
    out.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--independent", type=Path)
    parser.add_argument("--million", nargs="?", const="all")
    args = parser.parse_args()
    if args.million is None:
        quality(args.run, args.views, args.independent)
    elif args.million == "all":
        print("| format | MB | seconds | CPU seconds | peak MB before | peak MB |")
        print("|---|---|---|---|---|---|", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            million = many(Model.open(args.run).scene.gaussians, MILLION)
            for name, array in million.arrays().items():
                np.save(Path(folder) / f"{name}.npy", array)
            del million, array
            for name in NAMES:
                subprocess.run([sys.executable, __file__, folder, "--million", name], check=True)
    else:
        one_million(args.run, args.million)


if __name__ == "__main__":
    main()
