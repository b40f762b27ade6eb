"""What the notebook panels share. Runs on ipywidgets 7.7 (Colab) and 8.

No `Output` widget and no `interact`: both swallow errors. Pictures go to Image widgets that are
there from the start, a click handler shows an IdfError in the status line and raises it again.
"""

from __future__ import annotations

import html
import os

import ipywidgets as w
import numpy as np

from ..data.media import encode_image
from ..errors import IdfError

WIDE = w.Layout(width="640px")
LABEL = {"description_width": "130px"}
RED = "#d93025"  # legible on a light and on a dark page


def fast() -> bool:
    """Whether IDF_FAST is set: tests shorten budgets by it, never steps."""
    return os.environ.get("IDF_FAST", "") not in ("", "0")


def uploaded_files(upload) -> dict[str, bytes]:
    """name -> content of a FileUpload: a dict in ipywidgets 7, a tuple of dicts in 8."""
    value = upload.value
    items = value.items() if isinstance(value, dict) else ((f["name"], f) for f in value)
    return {str(name): bytes(f["content"]) for name, f in items}


def png(image: np.ndarray) -> bytes:
    """Encoded picture for an Image widget's value: uint8 or float (H, W, 3|4)."""
    return encode_image(image, ".png")


BLANK = png(np.zeros((1, 1, 4), np.uint8))  # one transparent pixel


def picture_widget(width: int = 640) -> w.Image:
    """An Image widget that shows nothing yet, so that it has its place."""
    return w.Image(value=BLANK, format="png", layout=w.Layout(
        max_width=f"min({width}px, 100%)", align_self="flex-start"))  # a box would stretch it


class Panel:
    """A button, a status line and `run()`, which is what the button calls and what tests call.

    Subclasses make their widgets in `controls()` and override `run`.
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
        self.say("starting …")
        try:
            self.run()
        except IdfError as error:
            self.say(str(error), RED)
            raise
        except KeyboardInterrupt:
            self.say("stopped; the button goes on from there")
            raise
        except Exception as error:  # a bug of ours: Jupyter hides a handler's traceback in its log
            self.say(f"{type(error).__name__}: {error}\n"
                     "run the next cell to see where it comes from", RED)
            raise
        finally:
            self.button.disabled = False

    def say(self, text: str, color: str = "inherit") -> None:
        """Text of the status line (escaped)."""
        self.status.value = (f'<div style="color:{color};white-space:pre-wrap;line-height:1.5;'
                             f'max-width:640px">{html.escape(text)}</div>')

    def report(self, step: str, fraction: float) -> None:
        """For stages' progress callbacks."""
        self.bar.value = float(fraction)
        self.say(f"{step} … {100 * fraction:.0f} %")

    def _ipython_display_(self):
        from IPython.display import display

        display(self.box)


def html_table(rows: list[dict], columns: list[str] | None = None, limit: int = 40):
    """Rows as an IPython HTML table; the first `limit`, and how many more there are."""
    from IPython.display import HTML

    columns = columns or list(dict.fromkeys(k for r in rows for k in r))

    def cell(v):
        return html.escape("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v))

    head = "".join(f"<th>{html.escape(c)}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell(r.get(c))}</td>" for c in columns) + "</tr>"
                   for r in rows[:limit])
    more = f"<p>… and {len(rows) - limit} more</p>" if len(rows) > limit else ""
    return HTML(f"<table><tr>{head}</tr>{body}</table>{more}")


def show(image: np.ndarray):
    """A picture as IPython shows it."""
    from IPython.display import Image

    return Image(data=png(image))


def show_video(path, width: int = 480):
    """An MP4 inside the notebook (embedded: it plays on Colab too, and after a move)."""
    from IPython.display import Video

    return Video(str(path), embed=True, width=width,
                 html_attributes="controls loop autoplay muted playsinline")


def offer(paths) -> None:
    """Links to finished files; on Colab buttons that download them."""
    from pathlib import Path

    from IPython.display import HTML, display

    from ..runtime.colab import in_colab

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
    """Bytes as people read them: "13.3 MB", "40 kB"."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
