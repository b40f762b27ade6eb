"""Measures of a finished swap, beside the pictures it was made from.

Geometry, consistency and what must not change are measured without any weights. Who the face looks
like, and how different a picture looks, need networks (`idf download identity`, `lpips`,
`arcface`); without one that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data import samples
from ..data.clips import index_video, read_frames
from ..data.dataset import Dataset, Frame
from ..data.media import read_image
from ..data.moments import moves
from ..errors import IdfError, shorten
from ..face.frame_fitter import Lens
from ..face.mesh import FaceMesh, vertex_normals
from ..face.shape_fit import guessed_lens
from ..runtime.files import read_record, sha256_bytes, sha256_file, stable_hash
from ..runtime.progress import Reporter
from ..runtime.runs import read_manifest
from .frame_measures import NEAR, FrameMeasures, Networks
from .job import photo_bytes
from .mesh.mesh_tracking import Tracks
from .mesh.uv_atlas import head_axes
from .metrics import border_edges, color_spread, visible_points
from .source import SourceFace, load_source
from .uv_method import MESH_FILE, TRACKS_FILE, fit_views

# Beyond it no face is seen; a fitted mesh may still paint the strip of a cheek that shows.
BACK, BACK_OF_MESH = 110.0, 155.0
MOST_FRAMES = 400  # measured, spread over the run


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


def evaluate(run: Path, data: Dataset, source=None, arcface=None) -> dict:
    """Return the measures of a swap of `data`, by the names of `measure_table.MEASURES`.

    run: its run folder. source: the source photo or photos (paths or bytes), None = a bundled one
    where the hash is its. arcface: an ONNX recognizer, None = the download `arcface` where it is
    there. `by_yaw` has the means of BINNED in each of YAW_BINS. What could not be measured is None,
    and `notes` has the reason by the measure's name. IdfError: frames that are missing, another
    photo than the run's.
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
    visible = np.array([measures.add(a.image(), b.image(), s, yaw, lens_of(a.camera))
                        for (a, b), s, yaw in zip(pairs, swapped, yaws, strict=True)], bool)
    back = BACK_OF_MESH if (run / MESH_FILE).is_file() else BACK
    out = measures.row(run, str(report.get("backend", "?")), swapped,
                       np.abs(yaws) <= NEAR if known else visible,
                       np.abs(yaws) >= back if known else ~visible, notes)
    out |= _consistency(pairs, mesh, data, notes, run)
    changed = measures.values["changed"]
    return out | {"changed_pixels": round(float(np.mean(changed)), 4) if changed else 0.0,
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
        measures.add(a, b[:a.shape[0], :a.shape[1]], done[i], np.nan,
                     guessed_lens(a.shape[1], a.shape[0]))
        for i, (a, b) in enumerate(zip(read_frames(video, index), read_frames(result, found),
                                       strict=True)) if i % step == 0])
    notes["lost_near"] = "yaw is not known; frames that show a face count"
    out = measures.row(run, str(report.get("backend", "?")), done[::step], visible, ~visible, notes)
    spread = ("color_spread_original", "color_spread_swapped")
    pixels = ("changed_pixels", "outside_mask", "alpha_changed")
    notes |= dict.fromkeys(spread, "the face moves")
    notes |= dict.fromkeys(pixels, "the codec changes every pixel")
    return out | dict.fromkeys(spread + pixels) | {"notes": notes}


def evaluate_image(run: Path, picture, source=None, arcface=None) -> dict:
    """Return the measures of a swap of one picture; picture: the original's path.

    Of several faces that was measured which changed most. What needs several views is not measured.
    IdfError: another picture than the run's.
    """
    run, picture, notes = Path(run), Path(picture), {}
    before, manifest = read_image(picture), read_manifest(run)
    if sha256_file(picture) != manifest["inputs"].get("picture_sha256"):
        raise IdfError(f"{picture} is not the picture that {run} was made from",
                       "another file by its hash", "give the original with --dataset PICTURE")
    after = read_image(run / f"{picture.stem}.png")
    if after.shape[:2] != before.shape[:2]:
        raise IdfError(f"{run / picture.stem}.png has another size than {picture}",
                       f"{after.shape[1]}x{after.shape[0]}, not {before.shape[1]}x"
                       f"{before.shape[0]}", "run the swap again")
    channels = min(after.shape[2], before.shape[2])  # a swap may drop an alpha that hides nothing
    before, after = before[..., :channels], after[..., :channels]
    measures = _measures(run, source, arcface, notes, zoom=True)
    visible = np.array([measures.add(before, after, True, np.nan,
                                     guessed_lens(before.shape[1], before.shape[0]))])
    notes["lost_near"] = "a picture that is not swapped leaves no run"
    out = measures.row(run, str(manifest.get("backend", "?")), np.ones(1, bool), visible, ~visible,
                       notes)
    still = ("mouth_correlation", "eye_correlation", "color_spread_original",
             "color_spread_swapped")
    notes |= dict.fromkeys(still, "one picture only")
    notes["outside_mask"] = "the run of a picture keeps no mask"
    return out | dict.fromkeys((*still, "outside_mask", "lost_near")) | {
        "changed_pixels": round(measures.values["changed"][0], 4),
        "alpha_changed": sum(measures.values["alpha"]), "notes": notes}


def lens_of(camera) -> Lens:
    """Return the lens of a camera, pixels."""
    return Lens(*map(float, (camera.fx, camera.fy, camera.cx, camera.cy)))


def _measures(run: Path, source, arcface, notes: dict, zoom: bool = False) -> FrameMeasures:
    photos = _sources_of(run, source)
    return FrameMeasures(photos, Networks.here(arcface, notes), zoom)


def _outside(rows: list[dict], notes: dict) -> int | None:
    """Pixels changed outside the masks, as counted when the frames were swapped."""
    counts = [row.get("outside") for row in rows]
    if None in counts:
        notes["outside_mask"] = "the run's report has no counts; run the swap again"
        return None
    return int(sum(counts))


def _consistency(pairs, mesh, data: Dataset, notes: dict, run: Path) -> dict:
    names = ("color_spread_original", "color_spread_swapped")
    moving, shapes = moves(data.frames), None
    if moving and mesh is not None and (run / TRACKS_FILE).is_file():  # along its way, then
        tracks = Tracks.load(run / TRACKS_FILE)
        meshes = [tracks.mesh(mesh, a.name) for a, _ in pairs]
        shapes = [m and m.vertices for m in meshes]
    why = "no face mesh fits its views" if mesh is None else \
        "the face moves" if moving and shapes is None else ""
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


def _sources_of(run: Path, source) -> tuple[SourceFace, ...]:
    """Return the faces of the run's source photos; () = not given, and none that is bundled."""
    manifest = read_manifest(run)
    wanted = manifest["inputs"].get("source_sha256")
    if source is None:
        bundled = {}
        if samples.root().is_dir():
            bundled = {sha256_bytes(p.read_bytes()): p for p in map(samples.photo, samples.PHOTOS)}
        if wanted not in bundled:
            return ()
        source = bundled[wanted]
    given = list(source) if isinstance(source, (list, tuple)) else [source]
    hashes = [sha256_bytes(photo_bytes(s)) for s in given]
    if wanted != (hashes[0] if len(hashes) == 1 else stable_hash(hashes)):
        raise IdfError(f"The photo given with --source is not that of {run}",
                       "another file by its hash",
                       "give the photo that the swap was made with; all of them, in their order, "
                       "where it was made with several")
    return tuple(load_source(s, face=manifest["config"].get("face")) for s in given)
