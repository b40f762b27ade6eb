"""Whether a highlight moves with the view: pictures and figures of the preset `bronze`.

python benchmarks/highlight.py [OUT] [DEPTH] [ITER]       two minutes on two cores

The bundled turntable at 256 pixels. DEPTH: splats of it (a run folder); without, they are trained
for 20 s. ITER: a folder iterN of `idf loop` with bronze, whose splats are measured, too. Writes
OUT/highlight.jpg: the view-independent part above the whole look, and the splats below.

Half-way: correlation over pixels of what is added by the lamp in front and the cosine between the
normal and the half-way vector of lamp and camera, to the lobe's exponent. Follows: correlation over
views of where the highlight is in the picture and where it should be. Splats: correlation over
views of a surface point's brightness, its mean taken off, in the splats and in what they are of.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from idf_helpers.data import samples
from idf_helpers.data.cameras import scene_frame
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.data.media import write_image
from idf_helpers.reconstruction import load
from idf_helpers.reconstruction.config import TrainingConfig
from idf_helpers.runtime.progress import Reporter
from idf_helpers.stylization.reproject import TOLERANCE, Key, reproject
from idf_helpers.stylization.shape import unit
from idf_helpers.stylization.splats import train_splats
from idf_helpers.stylization.stylists.lights import STUDIO, reflection
from idf_helpers.stylization.stylists.preset import PresetConfig, PresetStylist
from idf_helpers.stylization.views import DatasetViews

SHOWN = 9  # views of the strip, up to 64 degrees to each side
LEAST = {"half-way": 0.7, "follows": 0.8, "moves": 2.0, "splats": 0.4}


def correlation(a, b) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder)
        data = samples.dataset("head_turntable")
        scene = load(sys.argv[2]) if len(sys.argv) > 2 else train_splats(
            data, out / "depth", TrainingConfig(budget_s=20.0), "depth", Reporter(), sh_degree=1)
        views = DatasetViews(data, scene, 256, bare=True)
        look = PresetStylist(PresetConfig(preset="bronze"))
        look.prepare([views[k] for k in range(0, len(views), 3)])
        chosen = [(2 * k) % len(views) for k in range(-(SHOWN // 2), SHOWN // 2 + 1)]
        lamp, bronze = STUDIO[0], look.look
        matt, whole, half_way, found, wanted = [], [], [], [], []
        for k in chosen:
            on = look.shape.surface(views[k])
            matt.append(look.stylize(views[k]))
            whole.append(look.finish(views[k], matt[-1], 1.0))
            n = bronze.normals(on)
            light = reflection(n, on.back, bronze.roughness, (1, 1, 1), (lamp,)).mean(1)
            h = np.clip((n * unit(on.back + lamp.axis)).sum(1), 0, 1)
            half_way.append(correlation(light, h ** (1 / bronze.roughness**2)))
            # on the smooth shape, where the spot is one
            h = np.clip((on.soft * unit(on.back + lamp.axis)).sum(1), 0, 1) ** 60
            at = on.columns / on.size[1]
            if h.max() > 0.3:
                found.append(float((at * light**2).sum() / (light**2).sum()))
                wanted.append(float((at * h).sum() / h.sum()))
        tolerance = TOLERANCE * scene_frame([v.camera for v in views]).radius
        change = {}
        for name, made in (("matt", matt), ("whole", whole)):
            parts = []
            for i in range(SHOWN - 2):
                a, b = chosen[i], chosen[i + 2]
                warped = reproject(views[a], [Key.of(views[b], made[i + 2], tolerance)], tolerance)
                both = (warped.cosine > 0.4) & (views[a].mask > 0.95)
                parts.append(np.abs(warped.rgb - made[i])[both].mean() * 255)
            change[name] = float(np.mean(parts))
        figures = {"half-way": float(np.mean(half_way)), "follows": correlation(found, wanted),
                   "moves": change["whole"] / change["matt"]}
        rows = [matt, whole]
        if len(sys.argv) > 3:
            splats = load(Path(sys.argv[3]) / "model")
            rows.append([splats.render(views[k].camera, None, (1.0, 1.0, 1.0)) for k in chosen])
            figures["splats"] = held(views, chosen, whole, rows[-1], tolerance)
        pictures = [p * views[k].mask[..., None] + 1 - views[k].mask[..., None]
                    for row in rows for p, k in zip(row, chosen, strict=True)]
        write_image(out / "highlight.jpg", contact_sheet(
            pictures, SHOWN, 150, rows=["without what is mirrored", "with it", "splats of it"]
            [:len(rows)]))
        print("what                                               measured   at least")
        words = {"half-way": "half-way vector and highlight, correlation",
                 "follows": "place in the picture, correlation over views",
                 "moves": "change of a point over 32 degrees, to matt part's",
                 "splats": "the same in the splats, correlation over views"}
        for name, value in figures.items():
            print(f"{words[name]:50s} {value:8.2f}   {LEAST[name]:8.2f}"
                  f"{'' if value >= LEAST[name] else '   MISSED'}")
        print(f"(a point changes by {change['matt']:.1f} of 255 without, "
              f"{change['whole']:.1f} with what is mirrored)")


def held(views, chosen, given, made, tolerance) -> float:
    """Return how the change of surface points over views in `made` follows that in `given`."""
    middle = len(chosen) // 2
    target = views[chosen[middle]]
    stacks = []
    for pictures in (given, made):
        values = []
        for k, p in zip(chosen, pictures, strict=True):
            warped = reproject(target, [Key.of(views[k], p, tolerance)], tolerance)
            values.append(np.where(warped.cosine > 0.3, warped.rgb.mean(-1), np.nan))
        stacks.append(np.array(values))
    seen = np.isfinite(stacks[0]).sum(0) >= 5
    a, b = (s[:, seen] - np.nanmean(s[:, seen], axis=0) for s in stacks)
    known = np.isfinite(a) & np.isfinite(b)
    return correlation(a[known], b[known])


if __name__ == "__main__":
    main()
