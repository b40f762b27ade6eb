"""What the notebook panels share. Runs on ipywidgets 7.7 (Colab) and 8.

No `Output` widget and no `interact`: both swallow errors. Pictures go to Image widgets that are
there from the start, a click handler shows an IdfError in the status line and raises it again.
"""

from __future__ import annotations

import html
import os
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..catalogue import STAGES
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.media import encode_image, read_image
from ..data.sequence import frames_by_yaw
from ..errors import IdfError
from ..exporting.gallery import SHEET_YAWS
from ..runtime.colab import in_colab
from ..runtime.progress import Reporter
from ..runtime.tables import Table
from .still import WithStill, refresh_stills

WIDE = w.Layout(width="640px")
LABEL = {"description_width": "130px"}
RED = "#d93025"  # legible on a light and on a dark page


def fast() -> bool:
    """Return whether IDF_FAST is set: tests shorten budgets by it, never steps."""
    return os.environ.get("IDF_FAST", "") not in ("", "0")


def uploaded_files(upload) -> dict[str, bytes]:
    """Return name -> content of a FileUpload: a dict in ipywidgets 7, a tuple of dicts in 8."""
    value = upload.value
    items = value.items() if isinstance(value, dict) else ((f["name"], f) for f in value)
    return {str(name): bytes(f["content"]) for name, f in items}


def png(image: np.ndarray) -> bytes:
    """Return a picture as an Image widget takes it: of uint8 or float (H, W, 3|4)."""
    return encode_image(image, ".png")


BLANK = png(np.zeros((1, 1, 4), np.uint8))  # one transparent pixel


def picture_widget(width: int = 640) -> w.Image:
    """Return an Image widget that shows nothing yet, so that it has its place."""
    return w.Image(value=BLANK, format="png", layout=w.Layout(
        max_width=f"min({width}px, 100%)", align_self="flex-start"))  # a box would stretch it


class Panel(WithStill, Reporter):
    """A button, a status line and `run()`, which is what the button calls and what tests call.

    Subclasses make their widgets in `controls()` and override `run`. The stages report to the
    panel itself.
    """

    action = "Run"

    def __init__(self):
        self.button = w.Button(description=self.action, button_style="primary")
        self.status = w.HTML()
        self.bar = w.FloatProgress(min=0.0, max=1.0, layout=WIDE)
        self.button.on_click(self._clicked)
        self.box = w.VBox([*self.controls(), w.HBox([self.button]), self.bar, self.status])

    def controls(self) -> list:
        raise NotImplementedError

    def run(self):
        raise NotImplementedError

    def _clicked(self, _button) -> None:
        self.button.disabled = True
        self.bar.value = 0.0
        self.write("starting …")
        try:
            self.run()
        except IdfError as error:
            self.write(str(error), RED)
            raise
        except KeyboardInterrupt:
            self.write("stopped; the button goes on from there")
            raise
        except Exception as error:  # a bug of ours: Jupyter hides a handler's traceback in its log
            self.write(f"{type(error).__name__}: {error}\n"
                     "run the next cell to see where it comes from", RED)
            raise
        finally:
            self.button.disabled = False
            refresh_stills()

    def write(self, text: str, color: str = "inherit") -> None:
        """Set the text of the status line (escaped)."""
        self.status.value = (f'<div style="color:{color};white-space:pre-wrap;line-height:1.5;'
                             f'max-width:640px">{html.escape(text)}</div>')

    def step(self, what: str, fraction: float, details: str = "") -> None:
        self.bar.value = float(fraction)
        self.write(f"{what} … {100 * fraction:.0f} % {details}".rstrip())

    def note(self, text: str) -> None:
        print(f"note: {text}")  # the status line has gone on before anybody could read it


def methods_table(stage: str) -> Table:
    """Return the methods of a stage ("swap", "splats" …) and what each of them lacks here."""
    return Table(map(vars, STAGES[stage].available()), ["name", "summary", "license", "missing"])


def frames_sheet(data: Dataset, cell: int = 130):
    """Show a row of a dataset's views: from one profile to the other, of a sequence over time."""
    if data.train[0].expression is None:
        chosen = [frame for _, frame in frames_by_yaw(data.frames, SHEET_YAWS)]
    else:
        chosen = data.train[:: max(1, len(data.train) // 8)][:8]
    return show(contact_sheet([f.image() for f in chosen], columns=len(chosen), cell=cell))


def show(picture):
    """Show a picture: an array, or the path of a file."""
    from IPython.display import Image

    return Image(data=png(picture if isinstance(picture, np.ndarray) else read_image(picture)))


def show_video(path, width: int = 480):
    """Show an MP4 inside the notebook (embedded: it plays on Colab too, and after a move)."""
    from IPython.display import Video

    return Video(str(path), embed=True, width=width,
                 html_attributes="controls loop autoplay muted playsinline")


def offer(paths) -> None:
    """Show links to finished files; on Colab buttons that download them."""
    from IPython.display import HTML, display

    if in_colab():
        from google.colab import files

        for path in paths:
            button = w.Button(description=f"Download {Path(path).name}", layout=WIDE)
            button.on_click(lambda _, p=path: files.download(str(p)))
            display(button)
        return
    # "download": Lab would open them itself, a page without its scripts and an archive not at all
    links = "<br>".join(f'<a href="{html.escape(os.path.relpath(p))}" download>'
                        f'{html.escape(str(p))}</a> ({size_text(Path(p).stat().st_size)})'
                        for p in paths)
    display(HTML(links))


def size_text(size: int) -> str:
    """Return a number of bytes as "13.3 MB" or "40 kB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
