"""Notebook 05's panel: stylist, look or prompt, key views; `run()` restyles the views."""

from __future__ import annotations

from pathlib import Path

import cv2
import ipywidgets as w
import numpy as np

from ..data.contact_sheet import BACKGROUND, before_after, contact_sheet
from ..data.dataset import Dataset
from ..data.inputs import mount_drive
from ..data.media import compose, encode_image, over, read_image, read_video
from ..errors import IdfError
from ..reconstruction.config import TrainingConfig
from ..runtime.files import read_json, sha256_bytes, stable_hash, write_bytes
from ..runtime.runs import by_content
from ..runtime.tables import Table
from ..stylization.config import KeyViewConfig, LoopConfig, StylizeConfig
from ..stylization.dataset import DEFAULT_KEYS, GEOMETRY, REPORT, stylize
from ..stylization.key_views import choose_keys
from ..stylization.loop import loop
from ..stylization.measures import in_words
from ..stylization.methods import PROPAGATORS, STYLISTS
from ..stylization.stylists.preset import PRESETS
from ..stylization.stylists.prompts import NEGATIVE, PROMPTS, ready
from ..stylization.stylists.style_pictures import BUNDLED
from ..stylization.views import DatasetViews, in_order
from .fields import IMAGE_FILES
from .widgets import BLANK, LABEL, WIDE, Panel, picture_widget, png, uploaded_files

STRIP = 12  # views in a strip
KEY_COLOR = (0.15, 0.45, 0.95)
WORDLESS = ("preset", "neural", "exemplar")  # stylists that read no prompt


class StylizePanel(Panel):
    """Choose a stylist and its look, and restyle the views.

    dataset: the views. out: folder for the runs; each choice gets its own run folder below it.
    depth: a reconstruction that gives the depth; None = splats are trained for depth_s seconds.
    After `run()`: `styled` (a Dataset), `report` (stylize_report.json), `folder`.
    """

    action = "Restyle the views"

    def __init__(self, dataset: Dataset, out="runs", stylist: str = "preset",
                 preset: str = "bronze", prompt: str = "bronze bust", keys: int = DEFAULT_KEYS,
                 resolution: int | None = 256, depth_s: float = 60.0, exemplar: str = "",
                 propagator: str = "auto", depth=None, style: str = BUNDLED[0]):
        self.dataset, self.out = dataset, mount_drive(out)
        self.resolution = resolution
        self.depth = TrainingConfig(budget_s=depth_s) if depth is None else depth
        self._shape = self.depth
        self.stylist = w.Dropdown(options=STYLISTS.names(), value=stylist,
                                  description="Stylist", style=LABEL)
        self.preset = w.Dropdown(options=list(PRESETS), value=preset, description="Look",
                                 style=LABEL)
        self.ready = w.Dropdown(options=["", *PROMPTS], value="", description="Ready prompt",
                                style=LABEL)
        self.prompt = w.Text(value=ready(prompt), description="Prompt", style=LABEL, layout=_wide())
        self.negative = w.Text(value=NEGATIVE, description="Not", style=LABEL, layout=_wide())
        self.upload = w.FileUpload(accept=IMAGE_FILES, multiple=False,
                                   layout=w.Layout(width="240px"))
        self.exemplar = w.Text(value=str(exemplar), description="or its path", style=LABEL,
                               layout=_wide())
        self.style = w.Text(value=str(style), description="or names", style=LABEL, layout=_wide(),
                            placeholder="paths, swirls, ink, or numbers 0 to 25, each with :WEIGHT")
        self.strength = w.FloatSlider(value=1.0, min=0.05, max=1.0, step=0.05,
                                      description="Strength", style=LABEL)
        self.keys = w.IntSlider(value=keys, min=1, max=min(32, len(dataset.frames)),
                                description="Key views", style=LABEL)
        self.propagator = w.Dropdown(options=["auto", *PROPAGATORS.names()],
                                     value=propagator, description="Propagation", style=LABEL)
        self.strip = picture_widget(960)
        self.result = picture_widget(960)
        self.styled: Dataset | None = None
        self.report: dict = {}
        self.folder: Path | None = None
        super().__init__()
        self.box.children = [*self.box.children, self.result]
        self.upload.observe(self._uploaded, names="value")
        self.ready.observe(self._take_ready, names="value")
        self.stylist.observe(self._fit_controls, names="value")
        self.keys.observe(self._show_strip, names="value")
        self._fit_controls()

    def controls(self) -> list:
        return [self.stylist, self.preset, self.ready, self.prompt, self.negative,
                w.HBox([self.upload, self.exemplar, self.style]), self.strength, self.keys,
                self.propagator, self.strip]

    def _uploaded(self, change) -> None:
        self.exemplar.value = self.style.value = ""  # what came last counts

    def _take_ready(self, change) -> None:
        if change["new"]:
            self.prompt.value = PROMPTS[change["new"]]

    def _fit_controls(self, change=None) -> None:
        """Show what the chosen stylist reads."""
        name = self.stylist.value
        used = {self.preset: name == "preset", self.upload: name in ("exemplar", "neural"),
                self.exemplar: name == "exemplar", self.style: name == "neural",
                self.keys: name != "preset", self.propagator: name != "preset"}
        for widget in (self.ready, self.prompt, self.negative):
            used[widget] = name not in WORDLESS
        self.upload.description = "Upload a style picture" if name == "neural" else \
            "Upload a painted view"
        for widget, on in used.items():
            widget.layout.display = None if on else "none"
        self.strength.value = 1.0 if name in WORDLESS else 0.6
        self._show_strip()

    @property
    def lacks(self) -> str | None:
        """What the chosen stylist needs and this machine lacks, with the command to get it."""
        return STYLISTS.find(self.stylist.value).missing()

    def key_indices(self) -> list[int]:
        cameras = [f.camera for f in in_order(self.dataset.frames)]
        return list(range(len(cameras))) if self.stylist.value == "preset" else \
            choose_keys(cameras, self.keys.value)

    def _show_strip(self, change=None) -> None:
        """Show the views in their order; those that the stylist gets stand in a frame."""
        self.strip.value = png(key_strip(self.dataset, self.key_indices()))

    def config(self) -> StylizeConfig:
        """Return the stylist's settings; an uploaded picture is kept under `out`."""
        name = self.stylist.value
        settings: dict = {"strength": self.strength.value}
        if name == "preset":
            settings |= {"preset": self.preset.value}
        elif name == "exemplar":
            settings |= {"exemplar": self._picture(self.exemplar)}
        elif name == "neural":
            words = self.style.value
            found = self._picture(self.style) if Path(words).expanduser().is_file() or not words \
                else None
            settings |= {"style": (str(found),) if found else tuple(words.split())}
        else:
            settings |= {"prompt": self.prompt.value, "negative_prompt": self.negative.value}
        return STYLISTS.find(name).config_type()(**settings).checked()

    def _picture(self, field: w.Text) -> Path | None:
        """Return the picture that a field names; where it is empty, the uploaded one."""
        files = uploaded_files(self.upload)
        if field.value or not files:
            return Path(field.value).expanduser() if field.value else None
        name, data = next(iter(files.items()))
        kept = self.out / "exemplars" / sha256_bytes(data)[:8] / \
            f"{Path(name).stem or 'painted'}.png"
        write_bytes(kept, encode_image(read_image(data, self.stylist.value)))
        return kept

    def views(self) -> KeyViewConfig:
        """Return which views the stylist gets."""
        return KeyViewConfig(keys=None if self.stylist.value == "preset" else self.keys.value,
                             resolution=self.resolution)

    def work(self) -> Dataset:
        """Restyle (or read back what is finished) and show views before and after."""
        self.result.value = BLANK
        config, name = self.config(), self.stylist.value
        key = stable_hash([by_content(self.dataset.fingerprint()), name, config.identity(),
                           vars(self.views()), self.propagator.value])[:8]
        self.folder = self.out / f"stylize-{name}-{key}"
        self.styled = stylize(self.dataset, self.folder, name, config, views=self.views(),
                              propagator=self.propagator.value, reporter=self,
                              depth=self._shape if name == "preset" else self.depth)
        if name == "preset" and (self.folder / GEOMETRY).is_dir():
            self._shape = self.folder / GEOMETRY  # further looks have no need of other splats
        self.report = read_json(self.folder / REPORT, "report")
        self.result.value = png(self.sheet())
        found = self.report
        self.write("\n".join([f"{name}: {found['propagator']} propagation, "
                            f"{found['seconds']:.0f} s", *in_words(found["measures"]),
                            f"written to {self.folder}"]))
        return self.styled

    def summary(self) -> Table:
        """Return what was measured of the restyled views, in words."""
        return Table([{"measure": line} for line in in_words(self.report["measures"])])

    def result_key(self) -> object:
        return self.folder

    def loop(self, out, end: int = 1, splat_s: float = 30.0) -> Path:
        """Run the loop with the panel's settings; the last video's path."""
        splats = TrainingConfig(budget_s=splat_s, resolution=self.resolution)
        return loop(self.dataset.root, self.stylist.value, self.config(),
                    LoopConfig(end=end, splats=splats), views=self.views(),
                    propagator=self.propagator.value, out=out, reporter=self)

    def sheet(self, views: int = 8, cell: int = 120) -> np.ndarray:
        """Return views from all sides, before above after: uint8 (H, W, 3)."""
        if self.styled is None:
            raise IdfError("There are no restyled views yet", "run() was not called",
                           "press the button, or call panel.run()")
        return styled_sheet(self.dataset, self.styled, views, cell)


def _wide() -> w.Layout:
    """Return a layout of its own, for a field that is hidden at times."""
    return w.Layout(width=WIDE.width)


def key_strip(dataset: Dataset, keys: list[int], cell: int = 78) -> np.ndarray:
    """Return the views in their order, at most `2 * STRIP`, keys in a colored frame."""
    frames, chosen = in_order(dataset.frames), set(keys)
    shown = sorted(set(np.linspace(0, len(frames) - 1, min(2 * STRIP, len(frames))).astype(int))
                   | (chosen if len(chosen) <= STRIP else set()))
    pictures = []
    for i in shown:
        picture = over(frames[i].image(), BACKGROUND)
        picture = cv2.resize(picture, (cell, round(cell * picture.shape[0] / picture.shape[1])),
                             interpolation=cv2.INTER_AREA)
        if i in chosen:
            for edge in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[:, -3:]):
                picture[edge] = KEY_COLOR
        pictures.append(picture)
    return contact_sheet(pictures, columns=min(STRIP, len(pictures)), cell=cell)


def styled_sheet(before: Dataset, after: Dataset, views: int = 8, cell: int = 120) -> np.ndarray:
    """Return `views` frames from all sides, before above after."""
    frames, styled = in_order(before.frames), {f.name: f for f in after.frames}
    chosen = [frames[i] for i in np.linspace(0, len(frames), views, endpoint=False).astype(int)]
    return before_after([f.image() for f in chosen], [styled[f.name].image() for f in chosen], cell)


def loop_sheet(out, iterations: int, views: int = 8, cell: int = 120) -> np.ndarray:
    """Return frames of iter0.mp4, iter1.mp4 …, one row each."""
    rows = []
    for n in range(iterations + 1):
        frames = list(read_video(Path(out) / f"iter{n}.mp4"))
        rows += [frames[i] for i in np.linspace(0, len(frames), views, endpoint=False).astype(int)]
    return contact_sheet(rows, columns=views, cell=cell,
                         rows=["before", *(f"iteration {n}" for n in range(1, iterations + 1))])


def paint(dataset: Dataset, path, frame: int | None = None) -> Path:
    """Paint the front view over in coarse strokes, an example for the exemplar; the PNG, whose
    name says which view it is. What a hand would do in any drawing program."""
    views = DatasetViews(dataset)
    k = choose_keys([f.camera for f in views.frames], 1)[0] if frame is None else frame
    view = views[k]
    rgb = view.source()
    gray = rgb.mean(-1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(gray.shape).astype(np.float32)
    size = max(view.size) / 320
    strokes = cv2.GaussianBlur(noise, (0, 0), sigmaX=7 * size, sigmaY=1.3 * size)
    strokes /= strokes.std() + 1e-6
    light = np.clip((gray + 0.05 * strokes - 0.1) / 0.7, 0, 1)[..., None]
    low, middle, high = (np.array(c, np.float32) for c in
                         ((0.16, 0.10, 0.30), (0.86, 0.34, 0.30), (1.0, 0.90, 0.60)))
    painted = np.where(light < 0.5, low + (middle - low) * 2 * light,
                       middle + (high - middle) * (2 * light - 1))
    teal = ((strokes > 1.1) & (gray > 0.2))[..., None]
    painted = np.where(teal, 0.5 * painted + 0.5 * np.array((0.1, 0.55, 0.55)), painted)
    file = Path(path) / f"{Path(view.name).name}.png"
    write_bytes(file, encode_image(compose(painted, view.mask).astype(np.float32)))
    return file
