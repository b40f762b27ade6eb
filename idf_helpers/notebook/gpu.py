"""A hint beside the choice of a backend, where a GPU is there and not used, or could be had."""

from __future__ import annotations

import html

import ipywidgets as w

from ..catalogue import STAGES
from ..errors import IdfError
from ..runtime import colab
from ..runtime.cuda import gpu_count
from .widgets import RED

PACKAGE = "gsplat>=1.5"
NO_GPU = ("No GPU on this machine: training runs on the CPU. <i>Runtime → Change runtime type → "
          "T4 GPU</i> is much faster; then run this notebook from the top.")
NOT_USED = "There is an NVIDIA GPU, but <code>gsplat</code>, which trains on it, is missing:"


def gpu_hint(stage: str) -> list[w.Widget]:
    """Return what to say of GPUs beside the methods of a stage: nothing, a line, or a line with a
    button that installs `gsplat`."""
    gsplat = [s for s in STAGES[stage].available() if s.name == "gsplat"]
    if gpu_count() == 0:
        return [w.HTML(NO_GPU)] if colab.in_colab() else []
    if not gsplat or not gsplat[0].missing or not colab.missing(PACKAGE):
        return []
    line = w.HTML(NOT_USED)
    button = w.Button(description="Add gsplat (pip, Apache-2.0)", layout=w.Layout(width="240px"))

    def add(_) -> None:
        button.disabled, line.value = True, "installing gsplat; its kernels compile at first use …"
        try:
            colab.ensure(PACKAGE)
            line.value = "gsplat is here: run this cell again to train with it."
        except IdfError as error:
            line.value = f'<span style="color:{RED}">{html.escape(str(error))}</span>'
            button.disabled = False

    button.on_click(add)
    return [w.VBox([line, button])]
