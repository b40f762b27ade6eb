"""The table of swap methods: the two embedded ones, GHOST, the ONNX swappers, and hybrids."""

from __future__ import annotations

import functools
from pathlib import Path

from ..errors import IdfError, shorten
from ..face.downloads import FACE_LANDMARKS
from ..runtime.download import missing
from ..runtime.registry import Entry, Registry, lacks_modules
from .config import COMMON, SwapConfig
from .neural.model_files import lacks_ghost, lacks_onnx
from .neural.onnx_models import MODELS, OnnxModel, read_row

VIEWS = "several views of one head"  # what `uv` needs: a dataset or a video
PICKED = frozenset({"target", "reference", "similarity", "min_face", "min_confidence"})

_packages = lacks_modules(cv2="opencv-python-headless", numba="numba", PIL="pillow")


def _lacks_embedded() -> str | None:
    return _packages() or missing(FACE_LANDMARKS)


def _ghost(name: str, words: str) -> Entry:
    return Entry(name, "idf_helpers.swapping.neural.ghost:GhostMethod",
                 f"GHOST as published, {words}, each picture by itself", 8,
                 functools.partial(lacks_ghost, name), commercial=False, argument=name,
                 license="Apache-2.0; the terms of its training data are not known", reads=PICKED)


def entry_of(model: OnnxModel) -> Entry:
    """Return the entry of a row for the table of swap methods.

    Never chosen by `auto`: each needs weights that are not for every use, and a swap that differs
    from view to view is not what a 3D head wants.
    """
    return Entry(model.backend, "idf_helpers.swapping.neural.onnx_swap:OnnxMethod",
                 f"{model.summary or model.file}, each picture by itself", 5,
                 lambda: lacks_onnx(model), license=model.license, commercial=False,
                 argument=model, reads=PICKED | {"pixel_boost"})


def _resolve(name: str) -> Entry | None:
    """`onnx:ROW.json` is a row of the user's own, `uv+NAME` the hybrid of a neural method; None
    for any other name."""
    if name.startswith("onnx:") and name.lower().endswith(".json"):
        return entry_of(read_row(Path(name.removeprefix("onnx:")).expanduser()))
    if name.startswith("uv+"):
        inner = SWAPPERS.find(name.removeprefix("uv+"))
        if inner.name in ("uv", "mesh"):
            raise IdfError(f"There is no swap method `{name}`", name,
                           "uv+NAME makes a neural swapper consistent, e.g. uv+ghost")
        return Entry(f"uv+{inner.name}", "idf_helpers.swapping.neural.hybrid:HybridMethod",
                     f"{inner.name} on the frontal views, then painted into all", 6,
                     inner.missing, frozenset({VIEWS}), inner.license, False, argument=inner,
                     reads=inner.reads - {"target", "reference", "similarity"})
    return None


SWAPPERS = Registry("swap", [
    Entry("uv", "idf_helpers.swapping.uv_method:UvMethod",
          "one face mesh and one texture for all views, consistent between them", 20,
          _lacks_embedded, frozenset({VIEWS}), argument="uv", reads=frozenset({"shape"})),
    Entry("mesh", "idf_helpers.swapping.mesh_method:MeshMethod",
          "a 2D mesh swap of each picture by itself", 10, _lacks_embedded, argument="mesh",
          reads=PICKED | {"shape"}),
    _ghost("ghost", "two blocks"),
    _ghost("ghost_1block", "one block, faster"),
    _ghost("ghost_3blocks", "three blocks"),
    *(entry_of(model) for model in MODELS.values()),
], _resolve)


def choose_swapper(config: SwapConfig, offers: frozenset[str] = frozenset()) -> tuple[Entry, str]:
    """Return the method that a config asks for, and one line saying why it was chosen.

    offers: what the target has, in the words of `Entry.needs`. IdfError where nothing fits, or for
    a setting that the method does not read.
    """
    if config.backend != "auto":
        _check_read(SWAPPERS.find(config.backend), config)
    entry, why = SWAPPERS.choose(config.backend, offers if config.one_head else frozenset())
    _check_read(entry, config)
    return entry, why


def _check_read(entry: Entry, config: SwapConfig) -> None:
    for name, value in config.changed().items():
        if name not in COMMON | entry.reads:
            readers = [e.name for e in SWAPPERS.entries.values() if name in e.reads]
            raise IdfError(f"The swap method `{entry.name}` does not read "
                           f"--{name.replace('_', '-')}", f"{name} {value}",
                           f"leave it out, or use one that reads it: {shorten(readers, 4)}")
