"""How key views are given to a stylist: each by itself, several in one picture, or one after the
other, each starting from what its styled neighbors show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..data.cameras import scene_frame
from ..data.media import to_uint8
from .reproject import TOLERANCE, Key, reproject
from .stylist import Reference, Stylist, View, as_float, checked_picture, scaled
from .surface import nearest_fill

WELL_SEEN = (0.2, 0.5)  # cosine from which, and above which fully, a neighbor's picture is kept
REFERENCES = 3
ANCHOR = 0.75  # how much of what the neighbors show is kept


def style_keys(stylist: Stylist, views: Sequence[View], strength: float,
               done: Callable[[int], np.ndarray | None] = lambda k: None
               ) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (position, (H, W, 3) float32 of that view's size) for each of `views`, in the order in
    which they are styled.

    strength: in (0, 1]. done: position -> picture of an earlier try, or None; a view that is done
    is neither asked for again nor yielded. IdfError: the stylist's.
    """
    if all(done(k) is not None for k in range(len(views))):
        return
    config = stylist.config
    stylist.prepare([v.resized(*working_size(stylist, v.size, config.size)) for v in views])
    if config.sides > 1:
        yield from _grid(stylist, views, strength, done)
    elif config.mode == "anchored":
        yield from _anchored(stylist, views, strength, done)
    else:
        for k, view in enumerate(views):
            if done(k) is None:
                yield k, _styled(stylist, view, strength, ())


def _styled(stylist: Stylist, view: View, strength: float, references) -> np.ndarray:
    """Return one view styled at the stylist's working size; in 256 levels, as files keep it,
    so that a run that was stopped goes on from the same colors."""
    sized = view.resized(*working_size(stylist, view.size, stylist.config.size))
    return as_float(to_uint8(scaled(_answer(stylist, sized, strength, references), *view.size)))


def _answer(stylist: Stylist, view: View, strength: float, references=()) -> np.ndarray:
    config = stylist.config
    picture = stylist.stylize(view, config.prompt, config.seed, strength, references)
    return checked_picture(picture, view, stylist.name)


def working_size(stylist: Stylist, size: tuple[int, int], wanted: int | None) -> tuple[int, int]:
    """Return (width, height) to work at: the longer side as wanted, or as suits the stylist, each
    side a multiple of what it needs."""
    longer = wanted or stylist.size or max(size)
    m = max(1, stylist.multiple)
    return tuple(max(m, m * round(s * longer / max(size) / m)) for s in size)


# --- grid -----------------------------------------------------------------------------------------

def _grid(stylist, views, strength, done):
    n = stylist.config.sides
    for start in range(0, len(views), n * n):
        part = list(range(start, min(start + n * n, len(views))))
        if all(done(k) is not None for k in part):
            continue
        cells = [views[part[i % len(part)]] for i in range(n * n)]  # a last sheet is filled up
        w, h = cells[0].size
        # every cell at its own working size, so that nothing is scaled when the sheet is cut
        width, height = working_size(stylist, (n * w, n * h), stylist.config.size)
        step = n * max(1, stylist.multiple)
        width, height = (max(step, step * round(s / step)) for s in (width, height))
        cells = [c.resized(width // n, height // n) for c in cells]
        whole = sheet(cells, n, f"{cells[0].name} and {len(part) - 1} more")
        picture = _answer(stylist, whole, strength)
        for i, k in enumerate(part):
            y, x = (i // n) * (height // n), (i % n) * (width // n)
            cell = picture[y:y + height // n, x:x + width // n]
            cell = scaled(np.ascontiguousarray(cell), *views[k].size)
            yield k, as_float(to_uint8(cell))


def sheet(cells: Sequence[View], n: int, name: str) -> View:
    """Return n·n views of one size as one view, row by row."""
    def tiled(arrays):
        if any(a is None for a in arrays):
            return None
        return np.concatenate([np.concatenate(arrays[r * n:(r + 1) * n], axis=1)
                               for r in range(n)], axis=0)

    return View(tiled([as_float(c.rgb) for c in cells]), tiled([c.mask for c in cells]),
                tiled([c.depth for c in cells]), tiled([c.normal for c in cells]), None, name)


# --- anchored -------------------------------------------------------------------------------------

def _anchored(stylist, views, strength, done):
    """Style the first view freely; each later one, nearest to those done first, from what they
    show."""
    made: dict[int, np.ndarray] = {}
    scene = scene_frame([v.camera for v in views]) if views[0].camera is not None else None
    tolerance = TOLERANCE * (scene.radius if scene else 1.0)
    for k in visiting_order(views):
        view = views[k]
        near = sorted(made, key=lambda j: _apart(view, views[j]))[:REFERENCES]
        earlier = done(k)
        if earlier is not None:
            made[k] = earlier
            continue
        references = [Reference(views[j], made[j]) for j in near]
        keep = None
        if near and view.depth is not None:
            warped = reproject(view, [Key.of(views[j], made[j], tolerance) for j in near],
                               tolerance)
            low, high = WELL_SEEN
            known = np.clip((warped.cosine - low) / (high - low), 0, 1)
            start = known[..., None] * nearest_fill(warped.rgb, warped.known) \
                + (1 - known[..., None]) * view.source() if warped.known.any() else view.source()
            keep = ANCHOR * cv2.GaussianBlur(known, (0, 0), 1.5)[..., None]
            view = replace(view, start=start.astype(np.float32), known=known.astype(np.float32))
        picture = _styled(stylist, view, strength, references)
        if keep is not None and not stylist.reads_references:
            picture = as_float(to_uint8(keep * view.start + (1 - keep) * picture))
        made[k] = picture
        yield k, picture


def visiting_order(views: Sequence[View]) -> list[int]:
    """Return positions from the first view on, always the one nearest to any visited before."""
    order, left = [0], set(range(1, len(views)))
    while left:
        following = min(sorted(left), key=lambda k: min(_apart(views[k], views[j]) for j in order))
        order.append(following)
        left.remove(following)
    return order


def _apart(a: View, b: View) -> float:
    """Return the angle between two viewing directions as 1 - cosine; 0 without cameras."""
    if a.camera is None or b.camera is None:
        return 0.0
    return 1.0 - float(a.camera.forward @ b.camera.forward)
