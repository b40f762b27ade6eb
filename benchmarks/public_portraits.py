"""How good the 2D swap is on portraits of real people, which you bring: figures and one sheet.

    python benchmarks/public_portraits.py FOLDER --out OUT --consent "who agreed, and how"
        [--identity-weights FOLDER] [--checkouts CHECKOUT ...] [--only NAME ...] [--keep]

FOLDER holds a folder for each pair, NAME/source.jpg and NAME/target.png (any picture format), and
NAME/ghost.png where another program's result for the same pair is at hand: it is measured beside.
No picture comes with this script. Use pictures that you may use for this, of people who agreed to
it or that were published as examples for face swaps; look at the results yourself and pass neither
them nor the sheet on. What is written carries the mark of synthetic pictures.

Printed for each pair, and as mean, median, least and greatest:

    source_id, target_id, before   identity distance of the result to source and target, and of
                                   source to target (below 0.6: one person)
    chroma, grain   energy finer than 3 % of the face, inside it: of colors and of lightness, result
                    over target; 1 = like the target, speckle is above 1.5, plastic below 0.6
    gray            largest |a| or |b| in a face whose target has no color (must be <= 2)
    pose            degrees away from the target's head, by fits with each face's own shape
    lips, lips_own  millimeters by which mouth and jaw are fitted to move the lips away from the
                    target's expression: fits with the mean shape, mean over three axes; and fits
                    with each face's own shape, length, as `idf eval` gives it
    edge            gradient where the faces blend, result over target; 1 = no rim was added
    ms              of processor time of the swap, source and landmarks known, median of three

CHECKOUT: folders of versions of this project, each of which swaps the pairs; default: this one.
Figures are always taken by this one. `idf download identity` gets the recognizer's weights.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from portrait_figures import Measured, figures

from idf_helpers import provenance
from idf_helpers.data import media
from idf_helpers.errors import IdfError
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.face.identity import SAME_PERSON, IdentityNet
from idf_helpers.runtime.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("source_id", "target_id", "before", "chroma", "gray", "grain", "pose", "lips",
           "lips_own", "edge", "ms")
LIMITS = {"source_id": (0, SAME_PERSON), "chroma": (0.5, 1.2), "gray": (0, 2),
          "grain": (0.75, 1.25)}  # pairs outside are named
CELL, CAPTION, ACROSS = 240, 22, 2  # of the sheet: pixels, pixels, pairs in a row


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    folder: tyro.conf.Positional[Path]
    """Folder of pairs."""
    out: Path
    """Where the swaps, figures.json and sheet.png go."""
    consent: str
    """Whose faces these are, and that they agreed, as for every swap."""
    identity_weights: Path | None = None
    """Folder with the recognizer's two files; None = where `idf download identity` puts them."""
    checkouts: tuple[Path, ...] = (ROOT,)
    """Versions of this project that swap."""
    only: tuple[str, ...] = ()
    """Names of pairs; none = all."""
    keep: bool = False
    """Measure the swaps that lie in OUT again instead of swapping."""


@dataclass(frozen=True)
class Pair:
    """Files of a pair; ghost: another program's result, or None."""

    name: str
    source: Path
    target: Path
    ghost: Path | None


def read_pairs(folder: Path, only: tuple[str, ...] = ()) -> list[Pair]:
    """Return the pairs of a folder by name. IdfError where there are none, or not those named."""
    pairs = []
    for place in sorted(p for p in folder.glob("*") if p.is_dir()):
        files = {p.stem: p for p in sorted(place.iterdir()) if media.is_image(p)}
        if "source" in files and "target" in files and (not only or place.name in only):
            pairs.append(Pair(place.name, files["source"], files["target"], files.get("ghost")))
    missing = sorted(set(only) - {p.name for p in pairs})
    if missing or not pairs:
        raise IdfError(f"{folder} lacks pairs of portraits",
                       f"not there: {', '.join(missing)}" if missing else "no NAME/source.* with "
                       "a NAME/target.*", "give a folder with a folder for each pair")
    return pairs


def swap_all(checkout: Path, pairs: list[Pair], out: Path, consent: str) -> dict:
    """Swap the pairs with another process that runs that checkout; return its report by name."""
    out.mkdir(parents=True, exist_ok=True)
    jobs = [{"name": p.name, "source": str(p.source.resolve()), "target": str(p.target.resolve())}
            for p in pairs]
    (out / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    env = os.environ | {"PYTHONPATH": str(checkout.resolve())}
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("portrait_swaps.py")),
                           str(out / "jobs.json"), str(out), "--consent", consent],
                          cwd=checkout, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{checkout} cannot swap these pairs:\n{done.stderr[-2000:]}")
    return json.loads((out / "swaps.json").read_text("utf-8"))


def read(path: Path) -> np.ndarray:
    """Return (H, W, 3) uint8, what is transparent over white."""
    return media.to_uint8(media.over(media.read_image(path)))


def measure(pair: Pair, results: dict[str, tuple[dict, Path]], net: IdentityNet,
            detector: LandmarkDetector) -> tuple[dict[str, dict], list[np.ndarray]]:
    """Return figures of each result by label, and the cells of the sheet: source, target, results.

    results: label -> (row of the report, picture). A result without a face has only its status.
    """
    source = Measured.find(read(pair.source), detector)
    target = Measured.find(read(pair.target), detector)
    if source is None or target is None:
        raise IdfError(f"The pair {pair.name} cannot be measured",
                       f"no face in its {'source' if source is None else 'target'}",
                       "use pictures with one clear face")
    rows: dict[str, dict] = {}
    cells = [caption(cell(source, source), pair.name), caption(cell(target, target), "")]
    for label, (row, path) in results.items():
        rows[label] = dict(row)
        if not path.is_file():
            cells.append(caption(np.zeros((CELL, CELL, 3), np.uint8), f"{label}: {row['status']}"))
            continue
        result = Measured.find(read(path), detector, target)
        if result is None:
            rows[label]["status"] = "no face is left"
            cells.append(caption(cell(Measured(read(path), target.face), target),
                                 f"{label}: no face"))
            continue
        covered = path.with_name(f"{path.stem}_mask.png")
        mask = read(covered)[..., 0] / 255 if covered.is_file() else None
        rows[label] |= figures(net, source, target, result, mask)
        cells.append(caption(cell(result, target), f"{label} {rows[label]['source_id']:.3f}"))
    return rows, cells


def cell(picture: Measured, framing: Measured) -> np.ndarray:
    """Return (CELL, CELL, 3): the head, cut out as `framing`'s face says."""
    low, high = np.split(framing.face.box, 2)
    center, side = (low + high) / 2 - (0, 0.08 * framing.face.size), 1.75 * framing.face.size
    scale = CELL / side
    M = np.array([[scale, 0, CELL / 2 - scale * center[0]],
                  [0, scale, CELL / 2 - scale * center[1]]])
    image = picture.image
    if scale < 0.5:  # the warp reads four pixels only
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    return cv2.warpAffine(image, M, (CELL, CELL), flags=cv2.INTER_CUBIC,
                          borderValue=(40, 40, 40))


def caption(picture: np.ndarray, text: str) -> np.ndarray:
    out = cv2.copyMakeBorder(picture, 0, CAPTION, 0, 4, cv2.BORDER_CONSTANT, value=(40, 40, 40))
    return cv2.putText(out, text[:34], (3, CELL + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45,
                       (255, 255, 255), 1, cv2.LINE_AA)


def sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Return one picture of all pairs' cells, ACROSS pairs in a row."""
    most, blank = max(map(len, rows)), np.full_like(rows[0][0], 40)
    lines = [np.concatenate(r + [blank] * (most - len(r)), 1) for r in rows]
    lines += [np.full_like(lines[0], 40)] * (-len(lines) % ACROSS)
    return np.concatenate([np.concatenate(lines[k:k + ACROSS], 1)
                           for k in range(0, len(lines), ACROSS)])


def table(rows: dict[str, dict[str, dict]], labels: list[str]) -> str:
    """Return the text that is printed. rows: pair -> label -> figures."""
    out = []
    for label in labels:
        mine = {name: r[label] for name, r in rows.items() if label in r}
        if not mine:
            continue
        out.append(f"{label:22}" + "".join(f"{c:>10}" for c in COLUMNS))
        for name, row in mine.items():
            out.append(f"{name:22}" + "".join(f"{_shown(row.get(c))}" for c in COLUMNS)
                       + ("" if row["status"] == "swapped" else f"  {row['status']}: "
                          f"{row.get('reason', '')[:60]}"))
        values = {c: np.array([r[c] for r in mine.values()
                               if c in r and not math.isnan(r[c])]) for c in COLUMNS}
        for word, take in (("mean", np.mean), ("median", np.median), ("least", np.min),
                           ("greatest", np.max)):
            out.append(f"{word:22}" + "".join(
                _shown(float(take(v)) if len(v) else None) for v in values.values()))
        for c, (low, high) in LIMITS.items():
            outside = [n for n, r in mine.items() if c in r and (r[c] < low or r[c] > high)]
            if outside:
                out.append(f"{c} outside {low:g} to {high:g}: {len(outside)} of "
                           f"{len(values[c])}: {', '.join(outside)}")
        out.append("")
    return "\n".join(out)


def _shown(value) -> str:
    return f"{'-':>10}" if value is None or math.isnan(value) else f"{value:10.3f}" \
        if value < 100 else f"{value:10.0f}"


def main(options: Options) -> None:
    pairs = read_pairs(options.folder, options.only)
    options.out.mkdir(parents=True, exist_ok=True)
    net, detector = IdentityNet(options.identity_weights).open(), LandmarkDetector()
    labels = [c.resolve().name for c in options.checkouts]
    if len(set(labels)) < len(labels):
        raise IdfError("Two checkouts have one name", ", ".join(labels), "give them other folders")
    reports = {}
    for label, checkout in zip(labels, options.checkouts, strict=True):
        kept = options.out / label / "swaps.json"
        reports[label] = json.loads(kept.read_text("utf-8")) if options.keep else \
            swap_all(checkout, pairs, options.out / label, options.consent)
    rows, cells = {}, []
    for pair in pairs:
        results = {} if pair.ghost is None else {"ghost": ({"status": "swapped"}, pair.ghost)}
        results |= {label: (reports[label][pair.name], options.out / label / f"{pair.name}.png")
                    for label in labels}
        try:
            rows[pair.name], line = measure(pair, results, net, detector)
        except IdfError as error:  # the others can be measured
            print(f"left out: {error.what}: {error.found}", file=sys.stderr)
            continue
        cells.append(line)
    print(table(rows, ["ghost", *labels]))
    (options.out / "figures.json").write_text(json.dumps(rows, indent=1), "utf-8")
    picture = sheet(cells)
    run_id = f"portraits-{zlib.crc32(picture.tobytes()):08x}"
    consent = provenance.require_consent(options.consent, [p.source.read_bytes() for p in pairs],
                                         [p.target for p in pairs])
    mark = provenance.Mark(run_id, "sheet of face swaps", consent=consent.digest)
    write_bytes(options.out / "sheet.png", provenance.mark_picture_bytes(
        media.encode_image(picture, ".png"), ".png", mark))


if __name__ == "__main__":
    main(tyro.cli(Options, description=(__doc__ or "").splitlines()[0]))
