"""What the notebooks display: panels, widgets, sheets; each imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .viewers import view

_HOMES = {
    ".swap_panel": ("SwapPanel",),
    ".swap_steps": ("bands_picture", "source_picture"),
    ".swap_compare": ("compare_swaps",),
    ".metrics_chart": ("yaw_chart",),
    ".video_panel": ("clip_sheet", "swap_clip"),
    ".input_panel": ("InputPanel",),
    ".training_panel": ("AvatarPanel", "NerfPanel", "SplatPanel"),
    ".comparison": ("cleaned_picture", "compare_methods", "curves_plot", "difference_picture",
                         "geometry_picture", "methods_here", "results_table"),
    ".stylize_panel": ("StylizePanel", "loop_sheet", "paint"),
    "..stylization.stylists.diffusers_stylist": ("DiffusersConfig",),
    "..stylization.stylists.prompts": ("ready",),
    "..reconstruction.upstream.nerface.config": ("NerfaceConfig",),
    ".originals.ghost": ("FetchGhost", "GhostPictures"),
    ".default_inputs": ("fetch_face_models", "talking_frames"),
    ".originals.training": ("GraphdecoSteps", "NerfaceSteps"),
    ".figures.pipeline": ("pipeline",),
    ".figures.unwrapped": ("unwrapped_picture",),
    ".figures.swap_variants": ("try_swaps",),
    ".figures.growing": ("growing_picture", "inside_picture"),
    ".figures.rays": ("ray_picture",),
    ".figures.experiments": ("try_fields", "try_splats"),
    ".figures.bases": ("bases_picture", "expressions_chart", "fewer_bases_picture",
                       "mixed_picture"),
    ".figures.carried": ("carried_picture", "fewer_keys_picture", "looks_picture"),
    ".session": ("begin",),
    ".fetch_panel": ("FetchPanel",),
    ".bar": ("Bar",),
    ".viewers": ("view",),
    ".widgets": ("follow", "methods_table", "offer", "show", "show_video"),
    "..data.sequence": ("frames_by_yaw",),
    "..provenance.verify": ("origins",),
    "..runtime.progress": ("Line",),
    "..runtime.tables": ("Table",),
    "..exporting.model": ("Model",),
    "..exporting.config": ("ReenactConfig",),
    "..exporting.gallery": ("write_view",),
    "..exporting.reenact": ("reenact",),
    "..exporting.expression": ("write_expression",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["view", *_HOME_OF]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name], __name__), name)
