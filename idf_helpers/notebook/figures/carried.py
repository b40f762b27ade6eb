"""Inside a restyling: how colors go from key views to the others through depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...data.cameras import scene_frame
from ...data.contact_sheet import BACKGROUND, contact_sheet
from ...data.dataset import Dataset
from ...data.media import over, resize_area, to_uint8
from ...errors import IdfError
from ...metrics import psnr
from ...reconstruction import load
from ...stylization.dataset import GEOMETRY, SOME
from ...stylization.key_views import choose_keys
from ...stylization.methods import open_stylist
from ...stylization.reproject import TOLERANCE, Key, reproject
from ...stylization.stylists.preset import PresetConfig
from ...stylization.views import DatasetViews
from ..stylize_panel import StylizePanel
from .depths import depth_picture

ASIDE = 35.0  # degrees from the key view to the one that its colors are carried to


def carried_picture(panel: StylizePanel, cell: int = 160) -> np.ndarray:
    """Return how a view gets its style: the styled key view, its depth, the view as it was, what
    the key shows of it, how well, and the finished view: (H, W, 3) uint8.

    panel: after `run()` with a stylist that gets key views. IdfError: no depth was needed.
    """
    views = views_with_depth(panel)
    names = views.names
    key = names.index(panel.report["keys"][0])
    target = _aside(views, key)
    shown = [over(_image(panel.styled, views, k), BACKGROUND) for k in (key, target)]
    warped = _warped(views, {key: _pictures(panel.styled, views, [key])[0]}, target)
    carried = np.where(warped.known[..., None], warped.rgb, BACKGROUND)
    how = np.where(warped.known, warped.cosine, np.nan)
    pictures = [shown[0], depth_picture(views[key].depth),
                over(_image(panel.dataset, views, target), BACKGROUND), carried,
                depth_picture(-how), shown[1]]
    captions = ["1. key view, styled", "2. its depth: bright is near", "3. another view",
                "4. what the key view shows of it", "5. how well: bright = seen head-on",
                "6. styled from all key views"]
    return contact_sheet(pictures, len(pictures), cell, captions)


def fewer_keys_picture(panel: StylizePanel, styled: Dataset, counts: Sequence[int] = (1, 2, 4, 8),
                       cell: int = 160) -> np.ndarray:
    """Return a view put together from so many styled key views, gray where none sees it, and the
    same view styled by itself: (H, W, 3) uint8.

    panel: as in `carried_picture`, for the depth. styled: the same views in a look that changes
    each pixel by itself, which says what is right.
    """
    views = views_with_depth(panel)
    cameras = [f.camera for f in views.frames]
    target = _aside(views, choose_keys(cameras, 1)[0])
    truth = _pictures(styled, views, [target])[0]
    pictures, captions = [], []
    for count in counts:
        keys = [k for k in choose_keys(cameras, count) if k != target]
        made = _warped(views, dict(zip(keys, _pictures(styled, views, keys), strict=True)), target)
        head = views[target].mask > 0.5
        seen = made.known & head
        off = psnr(made.rgb[seen], truth[seen] / 255) if seen.any() else 0.0
        pictures.append(np.where(made.known[..., None], made.rgb, BACKGROUND))
        captions.append(f"{count} key view{'s' * (count > 1)}: {seen.sum() / head.sum():.0%} "
                        f"of the head, {off:.1f}\u00a0dB there")
    right = over(_image(styled, views, target), BACKGROUND)
    return contact_sheet([*pictures, right], len(pictures) + 1, cell,
                         [*captions, "styled by itself"])


def looks_picture(data: Dataset, looks: Sequence[str], strengths: Sequence[float] = (0.4, 1.0),
                  cell: int = 150) -> np.ndarray:
    """Return the front view in some looks, a column each, and with several strengths, a row each:
    (H, W, 3) uint8; the head's shape is that of its outlines. looks: names of presets. IdfError:
    no such look."""
    views = DatasetViews(data, resolution=2 * cell)
    view = views[choose_keys([f.camera for f in views.frames], 1)[0]]
    beside = (1 - view.mask[..., None]) * (1 - np.array(BACKGROUND))  # from white to gray
    some = [views[k] for k in range(0, len(views), max(1, len(views) // SOME))]
    painters = [open_stylist("preset", PresetConfig(preset=look)) for look in looks]
    for painter in painters:
        painter.prepare(some)
    pictures = []
    for strength in strengths:
        pictures.append(view.source() - beside)
        for painter in painters:
            made = painter.finish(view, painter.stylize(view, strength=strength), strength)
            head = view.mask[..., None]
            pictures.append(made * head + view.source() * (1 - head) - beside)
    return contact_sheet(pictures, len(looks) + 1, cell,
                         ["as it was", *looks, *[""] * (len(pictures) - len(looks) - 1)],
                         rows=[f"strength {s:g}" for s in strengths])


def views_with_depth(panel: StylizePanel) -> DatasetViews:
    """Return the panel's views with the depth that its run used."""
    if panel.folder is None or not isinstance(panel.report.get("keys"), list):
        raise IdfError("This restyling carried no colors from key views",
                       "each view was styled by itself" if panel.folder else "run() was not called",
                       "run a panel with the stylist `exemplar`")
    geometry = panel.folder / GEOMETRY
    views = DatasetViews(panel.dataset, load(geometry if geometry.is_dir() else panel.depth),
                         panel.resolution)
    views.depth_offset = panel.report["depth_offset"]
    return views


def _aside(views: DatasetViews, key: int) -> int:
    """Return the view that looks from about ASIDE degrees beside a key view."""
    cameras = [f.camera for f in views.frames]
    center = scene_frame(cameras).center
    toward = np.array([c.position - center for c in cameras])
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip(toward @ toward[key], -1, 1)))
    return int(np.abs(angle - ASIDE).argmin())


def _warped(views: DatasetViews, styled: dict[int, np.ndarray], target: int):
    tolerance = TOLERANCE * scene_frame([f.camera for f in views.frames]).radius
    return reproject(views[target], [Key.of(views[k], p, tolerance) for k, p in styled.items()],
                     tolerance)


def _pictures(styled: Dataset, views: DatasetViews, indices: Sequence[int]) -> list[np.ndarray]:
    """Return frames of a styled dataset at the views' size: (H, W, 3) uint8 over white."""
    return [to_uint8(over(_image(styled, views, i))) for i in indices]


def _image(data: Dataset, views: DatasetViews, index: int) -> np.ndarray:
    """Return the frame of a dataset that view `index` shows, at its size: (H, W, 3|4) uint8."""
    name = views.frames[index].name
    frame = next(f for f in data.frames if f.name == name)
    return resize_area(frame.image(), *views[index].size)
