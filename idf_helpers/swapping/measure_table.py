"""The measures of swaps side by side: a table for people, figures for a chart."""

from __future__ import annotations

from collections.abc import Sequence

from .frame_measures import BINNED, NEAR, YAW_BINS

# The measures in the order of the table, with what they are.
MEASURES = {
    "views": "frames measured", "swapped": "frames swapped",
    "lost_near": f"frames within {NEAR:.0f} deg that were not swapped, %",
    "false_faces": "faces painted where none shows, seen from behind",
    "landmark_error": "landmarks moved, mean, % of eye distance",
    "landmark_error_p95": "landmarks moved, 95th percentile, %",
    "refound": "face found again in swapped frames, %",
    "mouth_correlation": "mouth opening, correlation with the target's",
    "eye_correlation": "eye opening, correlation with the target's",
    "color_spread_original": "color from view to view, levels, before",
    "color_spread_swapped": "color from view to view, levels, after",
    "changed_pixels": "share of pixels changed",
    "outside_mask": "pixels changed outside the mask",
    "alpha_changed": "alpha values changed (the outline moves with the shape)",
    "hog_before": "likeness to the source by gradients (HOG cosine), before",
    "hog_after": "likeness to the source by gradients (HOG cosine), after",
    "same_person": "frames within 30 deg recognized as the source, %",
    "retrieval": "nearer to the source than to the target, % of frames",
}
BINS = " | ".join(YAW_BINS)
MISSING = "not measured"


def side_by_side(rows: list[dict]) -> tuple[list[dict], list[str]]:
    """Return rows of several runs as a table with a line for each measure that some run has and a
    column for each run, and the lines beneath it: what was not measured, and why.

    What is measured by yaw has a cell of three numbers, one for each of YAW_BINS, "-" where no
    face was found.
    """
    names = run_names(rows)
    table = [{"measure": words, **{n: MISSING if row[key] is None else row[key]
                                   for n, row in zip(names, rows, strict=True)}}
             for key, words in MEASURES.items() if any(measured(row, key) for row in rows)]
    table.append({"measure": f"faces measured at a yaw of {BINS} deg",
                  **{n: _cell(row, "faces") for n, row in zip(names, rows, strict=True)}})
    table += [{"measure": f"  {words}", **{n: _cell(row, key)
                                           for n, row in zip(names, rows, strict=True)}}
              for key, words in BINNED.items() if any(measured(row, key) for row in rows)]
    said: dict[str, list[str]] = {}
    for name, row in zip(names, rows, strict=True):
        by_reason: dict[tuple[str, bool], list[str]] = {}
        for key, why in row["notes"].items():
            by_reason.setdefault((why, measured(row, key)), []).append((MEASURES | BINNED)[key])
        for (why, known), words in by_reason.items():
            text = "" if known else f"{MISSING}: "
            said.setdefault(f"{text}{'; '.join(words)}: {why}", []).append(name)
    return table, [text if len(runs) == len(rows) else f"{', '.join(runs)}: {text}"
                   for text, runs in said.items()]


def run_names(rows: Sequence[dict]) -> list[str]:
    """Return a name for each row that no other has: the folder's, and the backend's."""
    names: list[str] = []
    for row in rows:
        name = f"{row['run']} ({row['backend']})"
        names.append(name if name not in names else f"{name} {len(names)}")
    return names


def measured(row: dict, key: str) -> bool:
    """Whether a row has a value of a measure, in any bin of yaw."""
    if key in BINNED:
        return any(b[key] is not None for b in row["by_yaw"].values())
    return row[key] is not None


def figures_by_yaw(rows: Sequence[dict], key: str) -> dict[str, list[float | None]]:
    """Return {run: its values in the order of YAW_BINS}, None where nothing was measured: what a
    chart draws. rows: of `evaluate_run`. key: a key of BINNED."""
    return {name: [row["by_yaw"][b][key] for b in YAW_BINS]
            for name, row in zip(run_names(rows), rows, strict=True)}


def _cell(row: dict, key: str) -> str:
    values = [row["by_yaw"][b][key] for b in YAW_BINS]
    if key in BINNED and not measured(row, key):
        return MISSING
    return " | ".join("-" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v)
                      for v in values)
