"""How near a swap from a bad photo comes to what a perfect swap gives, against another checkout.

    python benchmarks/ideal_swap.py --data IDEAL --before CHECKOUT [--work FOLDER] [--sheet FOLDER]

IDEAL is the folder that `assets/render/render_samples.py --set ideal` fills. CHECKOUT is an
earlier version of the program; both swap the same photos into the same views with `mesh` (every
view by itself) and, where a target has views enough to fit a head to, `uv` (all together).

The ideal: the target's head with the other person's face, rendered under the target's light, with
its camera and expression. Of the source are shape (set where the target's face sits, blended over
the rim), eyes, brows, beard, freckles and the lips' difference from the skin; the complexion is
the target's, since the face must meet its neck (assets/render/ideal.py). What that leaves out: a
swap that takes the source's complexion is charged for it; hair, ears and neck are the target's;
three made-up faces of one generator stand for people, and a rendered skin is smoother than a real
one. Photos are degraded as in degrade.py; "clean" is the photo as rendered and is in no mean.

Measured where the ideal's face is (its mask, soft at the rim; what lies outside is made equal):
LPIPS; color error, the mean distance in CIE Lab, of pixels as they are and so of shifted edges too;
identity, the distance of the recognizer's embeddings of result and ideal, both aligned by the
landmarks of the ideal. "target" is the target itself in place of a swap: what doing nothing costs.
A view that a version leaves unswapped, or a photo that it refuses, counts as the target itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from degrade import CASES, CLEAN

from idf_helpers.data import media
from idf_helpers.data.dataset import Dataset
from idf_helpers.face.color import rgb_to_lab
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.identity import IdentityNet, identity_distance
from idf_helpers.perceptual import Lpips
from idf_helpers.runtime.machine import cpu_count, cpu_name

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("mesh", "uv")
FIGURES = ("LPIPS", "color", "identity")
BEHIND = (0.8, 0.8, 0.8)  # what transparent views are shown and measured over
ENOUGH = 8  # views of a still head
LOWER = 40  # percent that LPIPS and color error must be below those of the other checkout

# Runs in either checkout: swaps all jobs, a line of JSON for each.
CHILD = """
import json, sys
from idf_helpers import IdfError, SwapConfig, swap
for job in json.load(open(sys.argv[1])):
    try:
        swap(job["target"], job["photo"], job["out"], SwapConfig(backend=job["backend"]),
             consent="Computer-made faces, no real person is shown.", resume=False)
        print(json.dumps(None), flush=True)
    except IdfError as error:
        print(json.dumps(str(error)), flush=True)
"""


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    data: Path
    """Folder of the rendered set (render_samples.py --set ideal)."""
    before: Path | None = None
    """Another checkout to compare with; none: only this one."""
    work: Path | None = None
    """Folder that keeps the swapped pictures, so that an unchanged checkout swaps once."""
    pairs: tuple[str, ...] = ()
    """Only these, such as B_on_A_rest; all that are rendered where not given."""
    only: tuple[str, ...] = ()
    """Only these degradations."""
    sheet: Path | None = None
    """Folder for contact sheets: photo, and in two views target, before, now, ideal."""
    weights: Path | None = None
    """Folder with the weights of both networks in lpips/ and identity/; none: as downloaded."""


@dataclass(frozen=True, eq=False)
class View:
    """One ideal picture: names, the yaw of the camera, and what is measured against.

    target, ideal: (H, W, 3) uint8. mask: (H, W) float32. box: slices around the mask.
    landmarks: of the ideal. embedding: (128,) of the ideal.
    """

    name: str
    yaw: float
    target: np.ndarray
    ideal: np.ndarray
    mask: np.ndarray
    box: tuple[slice, slice]
    landmarks: object
    embedding: np.ndarray


class Measures:
    """LPIPS, color error and identity to an ideal."""

    def __init__(self, weights: Path | None):
        self.lpips = Lpips(weights and weights / "lpips").open()
        self.net = IdentityNet(weights and weights / "identity").open()
        self.detector = LandmarkDetector()

    def view(self, name: str, yaw: float, target: Path, ideal: Path) -> View:
        picture = over(ideal)
        mask = media.read_image(ideal.with_suffix(".mask.png"))
        mask = (mask if mask.ndim == 2 else mask[..., 0]).astype(np.float32) / 255
        rows, columns = (np.flatnonzero((mask > 0.02).any(axis)) for axis in (1, 0))
        box = tuple(slice(max(0, int(x[0]) - 12), int(x[-1]) + 13) for x in (rows, columns))
        faces = self.detector.detect(picture)
        if not faces:
            raise SystemExit(f"no face is found in {ideal}: it cannot be measured against")
        return View(name, yaw, over(target), picture, mask, box, faces[0],
                    self.net.embed(picture, faces[0]))

    def __call__(self, view: View, picture: np.ndarray) -> np.ndarray:
        """Return (3,) of FIGURES."""
        m = view.mask[..., None]
        seen = np.round(m * picture + (1 - m) * view.ideal).astype(np.uint8)
        perceived = self.lpips(seen[view.box], view.ideal[view.box], view.mask[view.box])
        off = np.linalg.norm(rgb_to_lab(picture) - rgb_to_lab(view.ideal), axis=-1)
        who = identity_distance(self.net.embed(picture, view.landmarks), view.embedding)
        return np.array([perceived, (off * view.mask).sum() / view.mask.sum(), who])


def over(path: Path) -> np.ndarray:
    return media.to_uint8(media.over(media.read_image(path), BEHIND))


def main(options: Options) -> None:
    names = sorted(p.name for p in (options.data / "ideals").iterdir()
                   if (not options.pairs or p.name in options.pairs)
                   and transforms(options.data, p.name).exists())
    cases = [c for c in CASES if not options.only or c in options.only or c == CLEAN]
    trees = {"now": ROOT}
    if options.before is not None:
        trees = {"before": options.before.resolve(), "now": ROOT}
    print(f"{cpu_name()}, {cpu_count()} cores; {len(names)} pairs, {len(cases)} photos each")
    measures = Measures(options.weights)
    pairs = {name: list(views_of(options.data, name, measures)) for name in names}
    nothing = {n: np.array([measures(v, v.target) for v in vs]) for n, vs in pairs.items()}
    with tempfile.TemporaryDirectory(prefix="idf-ideal-") as folder:
        work = options.work or Path(folder)
        photos = {(n, c): photo(options.data, work, n.split("_on_")[0], c)
                  for n in names for c in cases}
        swapped = {which: swap_all(tree, work, options.data, pairs, photos)
                   for which, tree in trees.items()}
        found = {(which, *key): figures(run, pairs[key[1]], measures, options.data / "ideals")
                 for which, out in swapped.items() for key, run in out.items()}
        report(trees, pairs, cases, nothing, found)
        if options.sheet is not None:
            for backend, n in sorted({k[:2] for k in swapped["now"]}):
                sheet(options.sheet / f"ideal_{backend}_{n}.png", pairs[n], cases,
                      [photos[n, c] for c in cases],
                      {w: [s[backend, n, c] for c in cases] for w, s in swapped.items()})


def transforms(data: Path, pair: str) -> Path:
    return data / "targets" / pair.split("_on_")[1] / "transforms_train.json"


def views_of(data: Path, pair: str, measures: Measures) -> Iterable[View]:
    """The ideal pictures of a pair such as B_on_A_rest."""
    frames = {f.name: f for f in Dataset.open(transforms(data, pair).parent).frames}
    for path in sorted((data / "ideals" / pair).glob("r_*.png")):
        if not path.name.endswith(".mask.png"):
            frame = frames[f"train/{path.stem}"]
            x, y = frame.camera.position[:2]
            yaw = float(np.degrees(np.arctan2(x, -y)))
            yield measures.view(path.stem, yaw, frame.path, path)


def photo(data: Path, work: Path, who: str, case: str) -> Path:
    """Write the degraded photo of a person; its path."""
    c = CASES[case]
    suffix, content = c.file(media.read_image(data / "photos" / f"{who}_{c.photo}.png")[..., :3])
    path = work / "photos" / f"{who}_{slug(case)}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def slug(case: str) -> str:
    return case.replace(", ", "_").replace(" ", "_")


def swap_all(tree: Path, work: Path, data: Path, pairs, photos) -> dict:
    """Swap in a checkout; {(backend, pair, case): folder}. A folder is empty where the program
    refused. What the same code made of the same inputs before is taken as it is."""
    jobs, folders = [], {}
    code = digest(sorted((tree / "idf_helpers").rglob("*.py")))
    for (pair, case), path in photos.items():
        whole = transforms(data, pair).parent
        for backend in BACKENDS:
            if backend == "uv" and len(list((whole / "train").glob("*.png"))) < ENOUGH:
                continue
            target = whole if backend == "uv" else few(whole, work, pairs[pair])
            inputs = digest([path, *sorted(whole.rglob("*.png"))])
            out = work / code / f"{pair}-{slug(case)}-{backend}-{inputs}"
            folders[backend, pair, case] = out
            if not (out / "done").exists():
                shutil.rmtree(out, ignore_errors=True)
                jobs.append({"target": str(target), "photo": str(path), "out": str(out),
                             "backend": backend, "what": f"{backend} {pair} {case}"})
    if jobs:
        run_jobs(tree, work, jobs)
    return folders


def run_jobs(tree: Path, work: Path, jobs: list[dict]) -> None:
    """All swaps in one process of the checkout; marks each folder as done."""
    (work / "jobs.json").write_text(json.dumps(jobs))
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    with subprocess.Popen([sys.executable, "-c", CHILD, str((work / "jobs.json").resolve())],
                          cwd=tree, env=env, stdout=subprocess.PIPE, text=True) as child:
        for job in jobs:
            line = child.stdout.readline()
            if not line:
                child.wait()
                raise SystemExit(f"{tree}: {job['what']} ended with exit code {child.returncode}")
            refused = json.loads(line)
            if refused:
                print(f"{tree.name}: {job['what']}: {refused}")
            Path(job["out"]).mkdir(parents=True, exist_ok=True)
            (Path(job["out"]) / "done").touch()


def few(whole: Path, work: Path, views: list[View]) -> Path:
    """A dataset of only the measured views, for a method that takes each by itself."""
    out = work / "few" / whole.name
    if not (out / "transforms_train.json").exists():
        (out / "train").mkdir(parents=True, exist_ok=True)
        table = json.loads((whole / "transforms_train.json").read_text())
        wanted = {f"./train/{v.name}" for v in views}
        table["frames"] = [f for f in table["frames"] if f["file_path"] in wanted]
        for v in views:
            shutil.copyfile(whole / "train" / f"{v.name}.png", out / "train" / f"{v.name}.png")
        (out / "transforms_train.json").write_text(json.dumps(table))
    return out


def digest(files: Iterable[Path]) -> str:
    h = hashlib.sha256()
    for f in files:
        h.update(f.name.encode() + hashlib.sha256(f.read_bytes()).digest())
    return h.hexdigest()[:12]


def result(run: Path, view: View) -> np.ndarray:
    """The swapped view, or the target where there is none."""
    path = run / "train" / f"{view.name}.png"
    return over(path) if path.exists() else view.target


def figures(run: Path, views: list[View], measures: Measures, ideals: Path) -> np.ndarray:
    """Return (views, 3); kept beside the pictures, since measuring takes as long as swapping."""
    names = [ideals / run.name[:run.name.index("-")] / f"{v.name}{s}.png"
             for v in views for s in ("", ".mask")]
    path = run / f"figures_{digest(names)}.json"
    if not path.exists():
        path.write_text(json.dumps([measures(v, result(run, v)).tolist() for v in views]))
    return np.array(json.loads(path.read_text()))


# -- what is printed -------------------------------------------------------------------------------


def report(trees, pairs, cases, nothing, found) -> None:
    """A table for each backend. found: {(which, backend, pair, case): (views, 3)}."""
    for backend in BACKENDS:
        swapped = [n for n in pairs if ("now", backend, n, CLEAN) in found]
        if swapped:
            mine = {(w, n, c): x for (w, b, n, c), x in found.items() if b == backend}
            print(f"\n{backend:22}" + "".join(f"{f:>28}" for f in FIGURES))
            if "before" in trees:
                print(" " * 22 + f"{'before    now  change':>28}" * len(FIGURES))
            table(backend, list(trees), {n: pairs[n] for n in swapped}, cases, nothing, mine)


def table(backend: str, versions: list[str], pairs, cases, nothing, found) -> None:
    """Rows by photo, view and pair, and whether what is asked for is reached."""
    bad = [c for c in cases if c != CLEAN]

    def means(some_pairs, some_cases, view=slice(None)) -> dict[str, np.ndarray]:
        return {w: np.mean([found[w, n, c][view].reshape(-1, 3).mean(0)
                            for n in some_pairs for c in some_cases], axis=0) for w in versions}

    for c in cases:
        row(c, means(pairs, [c]))
    row("mean of the degraded", means(pairs, bad))
    print("by yaw, degraded")
    for k, v in enumerate(next(iter(pairs.values()))):
        row(f"  {v.yaw:+.0f}", means(pairs, bad, k))
    print("by pair, degraded (target: nothing done)")
    for n in pairs:
        row(f"  {n}", means([n], bad))
        row("    target", {"now": nothing[n].mean(0)})
    if "before" in versions:
        each = {c: means(pairs, [c]) for c in bad}
        for k, figure in enumerate(FIGURES[:2]):
            was, now = (means(pairs, bad)[w][k] for w in ("before", "now"))
            worse = [c for c in bad if each[c]["now"][k] >= each[c]["before"][k]]
            lower = 100 * (1 - now / was)
            good = "ok" if lower >= LOWER and not worse else "MISSED"
            print(f"{backend}: {figure} {lower:.0f} % lower, not lower for {worse or 'none'}   "
                  f"limit >= {LOWER} %, every degradation lower: {good}")


def row(name: str, means: dict[str, np.ndarray]) -> None:
    cells = [f"{x:28.3f}" for x in means["now"]]
    if "before" in means:
        cells = [f"{a:13.3f}{b:7.3f}{100 * (b / a - 1):+7.0f}%"
                 for a, b in zip(means["before"], means["now"], strict=True)]
    print(f"{name:22}" + "".join(cells))


def sheet(path: Path, views: list[View], cases, photos, runs: dict) -> None:
    """A row for each photo: the photo; of the frontal view and of one from the side the target,
    what each version made of it, and the ideal."""
    shown = [views[int(np.argmin([abs(v.yaw - a) for v in views]))] for a in (0, 31)]
    size = max(shown[0].target.shape)
    rows = []
    for k, case in enumerate(cases):
        picture = media.read_image(photos[k])[..., :3]
        scale = size / max(picture.shape)
        cell = cv2.resize(picture, (size, size) if picture.shape[0] == picture.shape[1] else None,
                          fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        cells = [labelled(cell, case)]
        for v in shown:
            cells += [labelled(v.target, "target")]
            cells += [labelled(result(r[k], v), which) for which, r in runs.items()]
            cells += [labelled(v.ideal, "ideal")]
        rows.append(np.concatenate(cells, axis=1))
    media.write_image(path, np.concatenate(rows))


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    out = np.ascontiguousarray(picture)
    out = out.copy()
    cv2.putText(out, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(out, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1,
                cv2.LINE_AA)
    return out


if __name__ == "__main__":
    main(tyro.cli(Options))
