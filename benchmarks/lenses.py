"""How near a straightened picture comes to the truth, and what it costs, for every lens of COLMAP.

    python benchmarks/lenses.py [--size 1280x960]

A smooth sky is drawn exactly through each lens (the rays are pycolmap's), straightened as `Frame`
does, and compared with the exact picture of the straight camera. Columns: dB where the lens saw
something, share of the straight picture that it saw, share of the file's picture that is shown,
seconds for the map (once a lens), milliseconds for each further picture.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import pycolmap

from idf_helpers.data.cameras import Camera
from idf_helpers.data.lens import MODELS, Lens
from tests.data.test_lenses import BENT, KNOWN, bytes_of, parameters, psnr, sky, truth

REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1280x960")
    w, h = map(int, parser.parse_args().size.split("x"))
    print("| lens | dB | seen | shown | map, s | picture, ms |\n" + "| --- " * 6 + "|")
    for model in KNOWN:
        if not BENT[model]:
            continue
        p = parameters(model, 0.62 * w, w, h)
        focal = MODELS[model].focal
        lens = Lens(model, BENT[model], p[0], p[focal - 1], p[focal], p[focal + 1], w, h)
        camera = Camera(np.diag([1.0, -1, -1, 1]), lens.fx, lens.fy, lens.cx, lens.cy, w, h)
        x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        rays = pycolmap.Camera(model=model, width=w, height=h, params=p).cam_from_img(
            np.stack([x.ravel(), y.ravel()], 1)).reshape(h, w, 2)
        bent = bytes_of(sky(np.dstack([rays, np.ones((h, w))])))
        started = time.perf_counter()
        made = lens.straighten(bent, camera)
        first = time.perf_counter() - started
        started = time.perf_counter()
        for _ in range(REPEATS):
            lens.straighten(bent, camera)
        again = (time.perf_counter() - started) / REPEATS
        db, seen = psnr(made, truth(camera))
        print(f"| {model} | {db:.1f} | {seen:.3f} | {lens.covered(camera):.2f} "
              f"| {first - again:.2f} | {1000 * again:.0f} |")


if __name__ == "__main__":
    main()
