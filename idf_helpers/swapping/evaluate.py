"""Measures of a finished swap, beside the pictures it was made from.

Geometry, consistency and what must not change are measured without any weights. Who the face looks
like needs a recognizer (an ArcFace ONNX, `idf download arcface`); without one that is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data import samples
from ..data.clips import index_video, read_frames
from ..data.dataset import Dataset, Frame
from ..errors import IdfError, shorten
from ..face.landmarks import LandmarkDetector
from ..face.mesh import FaceMesh, vertex_normals
from ..runtime import download
from ..runtime.files import read_record, sha256_bytes, sha256_file
from ..runtime.progress import Reporter
from ..runtime.runs import read_manifest
from .mesh.mesh_tracking import Tracks
from .mesh.uv_atlas import head_axes
from .metrics import (
    border_edges,
    color_spread,
    eye_opening,
    hog_similarity,
    landmark_error,
    mouth_opening,
    opening_correlation,
    visible_points,
)
from .neural.model_files import RECOGNIZER
from .neural.onnx_swap import Embedder, recognizer_net
from .source import SourceFace, load_source
from .uv_method import MESH_FILE, TRACKS_FILE, fit_views

NEAR, FRONTAL = 60.0, 30.0  # degrees of yaw
# Beyond it no face is seen; a fitted mesh may still paint the strip of a cheek that shows.
BACK, BACK_OF_MESH = 110.0, 155.0
MOST_FRAMES = 400  # measured, spread over the run

# The measures in the order of the table, with what they are.
MEASURES = {
    "views": "frames measured", "swapped": "of them swapped",
    "lost_near": f"not swapped within {NEAR:.0f} deg, %",
    "false_faces": "swapped where no face is seen, from behind",
    "landmark_error": "landmarks moved, mean, % of eye distance",
    "landmark_error_p95": "landmarks moved, 95th percentile, %",
    "refound": "face found again in swapped frames, %",
    "mouth_correlation": "mouth opening, correlation with the target's",
    "eye_correlation": "eye opening, correlation with the target's",
    "color_spread_original": "color from view to view, levels, before",
    "color_spread_swapped": "color from view to view, levels, after",
    "changed_pixels": "share of pixels changed",
    "outside_mask": "pixels changed outside the mask", "alpha_changed": "alpha values changed",
    "hog_before": "inner face like the source (HOG cosine), before",
    "hog_after": "inner face like the source (HOG cosine), after",
    "identity_before": "recognized as the source (cosine), before",
    "identity_after": "recognized as the source (cosine), after",
    "retrieval": "nearer to the source than to the target, % of frames",
}


def evaluate_swap(original: list[Frame], swapped: list[Frame], vertices: np.ndarray,
                  triangles: np.ndarray, max_yaw: float = NEAR, shapes=None) -> dict:
    """Measure how consistent a swap is between views, beside the unswapped pictures.

    original, swapped: the same frames in the same order. vertices (V, 3), triangles (T, 3): the
    fitted face mesh, whose inner vertices are the surface points. shapes: the vertices in each
    frame where the face moves, (V, 3) or None = no face there. Returns the color spread (levels of
    0-255, see `swapping.metrics.color_spread`) of both, and the share of changed pixels.
    """
    inner = np.setdiff1d(np.arange(len(vertices)), border_edges(triangles).ravel())
    yaws = head_yaws(original, vertices)
    shapes = [vertices] * len(original) if shapes is None else shapes
    near = [(a, b, v) for a, b, v, yaw in zip(original, swapped, shapes, yaws, strict=True)
            if abs(yaw) <= max_yaw and v is not None]
    pairs = [(a, b) for a, b, _ in near]
    seen = [visible_points(a.camera, v[inner], vertex_normals(v, triangles)[inner], v, triangles)
            for a, _, v in near]
    changed = [float((a.image() != b.image()).any(axis=2).mean()) for a, b in pairs]
    spread = [color_spread((pair[k].image()[..., :3], *s)
                            for pair, s in zip(pairs, seen, strict=True)) for k in (0, 1)]
    return {"color_spread_original": round(spread[0], 3),
            "color_spread_swapped": round(spread[1], 3),
            "changed_pixels": round(float(np.mean(changed)), 4) if changed else 0.0,
            "views": len(changed), "max_yaw": max_yaw}


def head_yaws(frames: Sequence[Frame], vertices: np.ndarray) -> np.ndarray:
    """Return (N,) degrees of each camera around the head, 0 = the fitted face looks at it, positive
    = from the head's left."""
    front, _, left = head_axes(vertices)
    d = np.stack([f.camera.position for f in frames]) - vertices.mean(0)
    return np.degrees(np.arctan2(d @ left, d @ front))


class FrameMeasures:
    """The measures of single frames, gathered by name in `values`.

    photo: the source, None = not known. recognizer: (image, face) -> embedding, or None.
    """

    def __init__(self, photo: SourceFace | None, recognizer):
        self.photo, self.recognizer, self.detector = photo, recognizer, LandmarkDetector()
        self.values: dict[str, list] = defaultdict(list)

    def add(self, before, after, swapped: bool, yaw: float) -> bool:
        """Measure one frame before and after; return whether its original shows a face.

        yaw: degrees, NaN where it is not known; then the frame counts as near to the front.
        """
        found, values = self.detector.detect(before), self.values
        if not swapped:
            return bool(found)
        values["changed"].append(float((before != after).any(axis=2).mean()))
        if before.shape[2] == 4:
            values["alpha"].append(int((before[..., 3] != after[..., 3]).sum())
                                   if after.shape[2] == 4 else before[..., 3].size)
        if not found or abs(yaw) > NEAR:
            return bool(found)
        again = self.detector.detect(after)
        values["refound"].append(bool(again))
        if not again:
            return True
        old, new = found[0], again[0]
        values["error"].append(landmark_error(old, new))
        values["mouth"].append((mouth_opening(old), mouth_opening(new)))
        values["eyes"].append((eye_opening(old), eye_opening(new)))
        if self.photo is not None and not abs(yaw) > FRONTAL:
            values["hog"].append([hog_similarity(image, face.points, self.photo.image,
                                                 self.photo.landmarks.points)
                                  for image, face in ((before, old), (after, new))])
            if self.recognizer is not None:
                values["embedding"].append((self.recognizer(before, old),
                                            self.recognizer(after, new)))
        return True

    def row(self, run: Path, report: dict, swapped, near, unseen, notes: dict) -> dict:
        """Return the part of a row that all swaps have. swapped, near, unseen: (N,) bool."""
        errors = self.values["error"]
        out = {"run": run.name, "backend": str(report.get("backend", "?")), "views": len(swapped),
               "swapped": int(swapped.sum()),
               "lost_near": _percent(~swapped[near]),
               "false_faces": int((swapped & unseen).sum()),
               "landmark_error": _round(100 * np.mean(errors)) if errors else None,
               "landmark_error_p95": _round(100 * np.percentile(errors, 95)) if errors else None,
               "refound": _percent(self.values["refound"])}
        for name, part in (("mouth", "mouth of the target keeps"),
                           ("eye", "eyes of the target keep")):
            key = f"{name}_correlation"
            out[key] = _round(opening_correlation(self.values[part.split()[0]]))
            if out[key] is None:
                notes[key] = f"the {part} still"
        return out | self.likeness()

    def likeness(self) -> dict:
        """Return how like the source the faces were and are; None where nothing was measured."""
        names = ("hog_before", "hog_after", "identity_before", "identity_after", "retrieval")
        out: dict = dict.fromkeys(names)
        if hog := self.values["hog"]:
            out["hog_before"], out["hog_after"] = (_round(v) for v in np.mean(hog, axis=0))
        if embeddings := self.values["embedding"]:
            source = _unit(self.recognizer(self.photo.image, self.photo.landmarks))
            was, now = (_unit(np.stack(e)) for e in zip(*embeddings, strict=True))
            own = _unit(was.mean(0))
            out["identity_before"] = _round(float((was @ source).mean()))
            out["identity_after"] = _round(float((now @ source).mean()))
            out["retrieval"] = _percent(now @ source > now @ own)
        return out


def evaluate(run: Path, data: Dataset, source=None, arcface=None) -> dict:
    """Return the measures of a swap of `data`, by the names of MEASURES.

    run: its run folder. source: the source photo (path or bytes), None = a bundled one where the
    hash is its. arcface: an ONNX recognizer, None = the download `arcface` where it is there. What
    could not be measured is None, and `notes` has the reason by the measure's name. IdfError:
    frames that are missing, another photo than the run's.
    """
    run, notes = Path(run), {}
    after = {f.name: f for f in Dataset.open(run).frames}
    pairs = [(f, after[f.name]) for f in data.frames if f.name in after]
    if len(pairs) < len(data.frames):
        raise IdfError(f"{run} is not a swap of {data.root}",
                       f"{len(data.frames) - len(pairs)} frames of it are missing: "
                       + shorten(f.name for f in data.frames if f.name not in after),
                       "give the dataset that it was made from with --dataset")
    pairs = pairs[::-(-len(pairs) // MOST_FRAMES)]
    report = read_record(run / "swap_report.json", ("frames",), "report")
    rows = {r.get("name"): r for r in report["frames"] if isinstance(r, dict)}
    measures = _measures(run, source, arcface, notes)
    mesh = _mesh_of(run, data, notes)
    known = mesh is not None
    yaws = head_yaws([a for a, _ in pairs], mesh.vertices) if known else np.full(len(pairs), np.nan)
    swapped = np.array([rows.get(a.name, {}).get("status") == "swapped" for a, _ in pairs])
    visible = np.array([measures.add(a.image(), b.image(), s, yaw)
                        for (a, b), s, yaw in zip(pairs, swapped, yaws, strict=True)], bool)
    back = BACK_OF_MESH if (run / MESH_FILE).is_file() else BACK
    out = measures.row(run, report, swapped, np.abs(yaws) <= NEAR if known else visible,
                       np.abs(yaws) >= back if known else ~visible, notes)
    out |= _consistency(pairs, mesh, data, notes, run)
    changed = measures.values["changed"]
    return out | {"changed_pixels": _round(float(np.mean(changed)), 4) if changed else 0.0,
                  "outside_mask": _outside([rows.get(a.name, {}) for a, _ in pairs], notes),
                  "alpha_changed": sum(measures.values["alpha"]), "notes": notes}


def evaluate_video(run: Path, video, source=None, arcface=None) -> dict:
    """Return the measures of a swap of a video; video: the original's path.

    What needs views from all sides or unchanged bytes is not measured: a video has neither, and
    the codec changes every pixel. IdfError: another video than the run's.
    """
    run, video, notes = Path(run), Path(video), {}
    index = index_video(video)
    if sha256_file(video) != read_manifest(run)["inputs"].get("video_sha256"):
        raise IdfError(f"{video} is not the video that {run} was made from",
                       "another file by its hash", "give the original with --dataset VIDEO")
    result = run / f"{video.stem}.mp4"
    found = index_video(result)
    if len(found) != len(index):
        raise IdfError(f"{result} is not whole", f"{len(found)} of {len(index)} frames",
                       "run the swap again")
    report = read_record(run / "swap_report.json", ("frames",), "report")
    done = np.zeros(len(index), bool)
    for row in report["frames"]:
        done[row["from"]:row["to"] + 1] = row["status"] == "swapped"
    measures, step = _measures(run, source, arcface, notes), -(-len(index) // MOST_FRAMES)
    visible = np.array([  # an odd size was padded
        measures.add(a, b[:a.shape[0], :a.shape[1]], done[i], np.nan)
        for i, (a, b) in enumerate(zip(read_frames(video, index), read_frames(result, found),
                                       strict=True)) if i % step == 0])
    notes["lost_near"] = "yaw is not known; frames that show a face count"
    out = measures.row(run, report, done[::step], visible, ~visible, notes)
    spread = ("color_spread_original", "color_spread_swapped")
    pixels = ("changed_pixels", "outside_mask", "alpha_changed")
    notes |= dict.fromkeys(spread, "the face moves")
    notes |= dict.fromkeys(pixels, "the codec changes every pixel")
    return out | dict.fromkeys(spread + pixels) | {"notes": notes}


def _measures(run: Path, source, arcface, notes: dict) -> FrameMeasures:
    photo = _source_of(run, source, notes)
    return FrameMeasures(photo, _recognizer(arcface, photo, notes))


def _outside(rows: list[dict], notes: dict) -> int | None:
    """Pixels changed outside the masks, as counted when the frames were swapped."""
    counts = [row.get("outside") for row in rows]
    if None in counts:
        notes["outside_mask"] = "the run's report has no counts; run the swap again"
        return None
    return int(sum(counts))


def _unit(e: np.ndarray) -> np.ndarray:
    e = np.asarray(e, np.float64)
    return e / np.maximum(np.linalg.norm(e, axis=-1, keepdims=True), 1e-12)


def _consistency(pairs, mesh, data: Dataset, notes: dict, run: Path) -> dict:
    names = ("color_spread_original", "color_spread_swapped")
    moves, shapes = any(f.expression is not None for f in data.frames), None
    if moves and mesh is not None and (run / TRACKS_FILE).is_file():  # along its way, then
        tracks = Tracks.load(run / TRACKS_FILE)
        meshes = [tracks.mesh(mesh, a.name) for a, _ in pairs]
        shapes = [m and m.vertices for m in meshes]
    why = "no face mesh fits its views" if mesh is None else \
        "the face moves" if moves and shapes is None else ""
    if not why:
        values = evaluate_swap(*map(list, zip(*pairs, strict=True)), mesh.vertices, mesh.triangles,
                               shapes=shapes)
        if np.isfinite(values[names[0]]):
            return {n: values[n] for n in names}
        why = "too few views see the same points"
    notes |= dict.fromkeys(names, why)
    return dict.fromkeys(names)


def _mesh_of(run: Path, data: Dataset, notes: dict) -> FaceMesh | None:
    kept = run / MESH_FILE  # of the uv backend; other swaps are measured the same way
    try:
        return FaceMesh.load(kept) if kept.is_file() else fit_views(data.frames, Reporter())[0]
    except IdfError as error:
        notes["lost_near"] = f"yaw is not known ({error.what}); frames that show a face count"
        return None


def _source_of(run: Path, source, notes: dict) -> SourceFace | None:
    wanted = read_manifest(run)["inputs"].get("source_sha256")
    if source is None:
        bundled = {}
        if samples.root().is_dir():
            bundled = {sha256_bytes(p.read_bytes()): p for p in map(samples.photo, samples.PHOTOS)}
        if wanted not in bundled:
            notes["hog_after"] = notes["identity_after"] = "give the source photo with --source"
            return None
        source = bundled[wanted]
    face = load_source(source, face=read_manifest(run)["config"].get("face"))
    content = bytes(source) if isinstance(source, (bytes, bytearray)) else Path(source).read_bytes()
    if sha256_bytes(content) != wanted:
        raise IdfError(f"The photo given with --source is not that of {run}",
                       "another file by its hash", "give the photo that the swap was made with")
    return face


def _recognizer(arcface, photo, notes: dict):
    """(image, face) -> embedding, or None and the reason."""
    if photo is None:
        return None
    if arcface is None and not download.is_present(RECOGNIZER):
        notes["identity_after"] = "no recognizer: --arcface FILE.onnx, or idf download " \
            f"{RECOGNIZER.name} ({RECOGNIZER.license})"
        return None
    net = recognizer_net(arcface)
    net.open()
    return Embedder(net)


def _percent(values) -> float | None:
    return round(100 * float(np.mean(values)), 2) if len(values) else None


def _round(value, digits: int = 3) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def side_by_side(rows: list[dict]) -> tuple[list[dict], list[str]]:
    """Return rows of several runs as a table with a line for each measure and a column for each
    run, and the lines beneath it: what was not measured, and why."""
    names = []
    for row in rows:
        name = f"{row['run']} ({row['backend']})"
        names.append(name if name not in names else f"{name} {len(names)}")
    table = [{"measure": words, **{n: "not measured" if row[key] is None else row[key]
                                   for n, row in zip(names, rows, strict=True)}}
             for key, words in MEASURES.items()]
    said: dict[str, list[str]] = {}
    for name, row in zip(names, rows, strict=True):
        for key, why in row["notes"].items():
            said.setdefault(f"{MEASURES[key]}: not measured: {why}" if row[key] is None
                            else f"{MEASURES[key]}: {why}", []).append(name)
    return table, [text if len(runs) == len(rows) else f"{', '.join(runs)}: {text}"
                   for text, runs in said.items()]
