"""Models fetched by a button, with license and size beside it."""

from __future__ import annotations

import html

import ipywidgets as w

from ..catalogue import DOWNLOADS
from ..runtime import download
from ..runtime.pins import ModelFile
from .widgets import LABEL, WIDE, Panel


class FetchPanel(Panel):
    """Choose a model, read what it is, how large and under which license, and fetch it.

    name: the one chosen at first, as of `idf download`. Nothing is fetched before the button is
    pressed, or `run()` is called.
    """

    action = "Fetch"

    def __init__(self, name: str = "identity"):
        self.choice = w.Dropdown(options=list(DOWNLOADS), value=name, description="Model",
                                 style=LABEL, layout=WIDE)
        self.about = w.HTML(layout=WIDE)
        super().__init__()
        self.choice.observe(self._show, names="value")
        self._show()

    def controls(self) -> list:
        return [self.choice, self.about]

    @property
    def model(self) -> ModelFile:
        """What is chosen."""
        return DOWNLOADS[self.choice.value]

    def _show(self, change=None) -> None:
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(t)}</td>' for t in row)}</tr>"
                       for row in map(_row, (*self.model.needs, self.model)))
        self.about.value = (f"<table><tr><th>file</th><th>what it does</th><th>to fetch</th>"
                            f"<th>license</th><th></th></tr>{rows}</table>")
        if change is not None:
            self.write("")

    def work(self) -> None:
        """Fetch what is missing. IdfError where that fails."""
        self.stage(f"fetching {self.model.name} …")
        download.ensure(self.model)
        self._show()
        self.write(f"{self.model.name} is here")


def _row(model: ModelFile) -> tuple[str, ...]:
    size = model.source.size
    return (model.name, model.purpose, f"{size / 1e6:.0f} MB" if size else "size not published",
            model.license, "here" if download.is_present(model) else "not here")
