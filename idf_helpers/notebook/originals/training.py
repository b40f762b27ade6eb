"""Training by a published program in a notebook: each step a call, each call a picture."""

from __future__ import annotations

import html
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...data.contact_sheet import before_after, contact_sheet
from ...data.dataset import Dataset
from ...data.media import read_image
from ...errors import IdfError, nearest, shorten
from ...metrics import psnr
from ...reconstruction.avatar.sequence import expression_names
from ...reconstruction.upstream.clone import Clone
from ...reconstruction.upstream.graphdeco.program import GraphdecoProgram
from ...reconstruction.upstream.graphdeco.stand_in import GraphdecoStandIn
from ...reconstruction.upstream.nerface.program import NerfaceProgram
from ...reconstruction.upstream.nerface.stand_in import NerfaceStandIn
from ...reconstruction.upstream.program import UpstreamProgram
from ...runtime.files import stable_hash
from ...runtime.progress import Reporter
from ...runtime.runs import by_content
from ...scene import Scene
from ..bar import Bar
from ..viewers import view
from ..widgets import fast, png, show

SHOWN = 6  # pictures in a row
CELL = 150  # width of one of them, pixels
DRAW_S = 1.0  # between two pictures of the curve
TAIL = 7  # lines of the log below it
STAND_IN = "stand-in: "


class UpstreamSteps:
    """A published program on a dataset. Without a clone a stand-in runs: this project's own trainer
    behind the same command line, with the same files; every picture says so.

    data: what to train on. runs: folder for the run and the stand-in. clone: folder of the user's
    clone, "" = the one that the environment names. iterations: in all, 0 = the program's own number
    (few for a stand-in). resolution: longer side of the pictures in pixels, None = as they are (a
    stand-in takes `most_resolution` at most). settings: others of the program's config.

    clone: what runs. program: its steps, see `UpstreamProgram`.
    """

    program_type: ClassVar[type[UpstreamProgram]]
    stand_in_type: ClassVar[Any]
    stand_in_iterations: ClassVar[int]
    most_resolution = 128
    training_script: ClassVar[str]

    def __init__(self, data: Dataset, runs="runs", clone="", iterations: int = 0,
                 resolution: int | None = None, **settings):
        kind = self.program_type
        self.named: Clone = kind.clone_type.at(clone)
        self.stand_in = self.named.source is None
        self.clone = self.named
        if self.stand_in:
            self.clone = self.stand_in_type.write(Path(runs) / f"stand-in-{kind.method}")
            iterations = iterations or self.stand_in_iterations // (4 if fast() else 1)
            resolution = min(resolution or max(data.size), self.most_resolution)
        config = kind.config_type(iterations=iterations or None, resolution=resolution, **settings)
        key = stable_hash([by_content(data.fingerprint()), str(config), str(self.clone.source)])[:8]
        name = f"{kind.method}-{'stand-in-' if self.stand_in else ''}{key}"
        self.program = kind.open(data, Path(runs) / name, config, self.clone)

    @property
    def done(self) -> int:
        """Iterations that are trained."""
        return int(self.program.training.get("iterations", 0))

    @property
    def total(self) -> int:
        """Iterations in all."""
        return self.program.config.steps

    def check(self):
        """Show the license, what the program's README asks for, and what of it is missing here."""
        from IPython.display import HTML

        rows = "".join(
            f"<tr><td>{html.escape(c.what)}</td><td style='text-align:left'>"
            f"{html.escape(c.readme)}</td><td style='text-align:left'>"
            f"{'&#10003; here' if c.lack is None else html.escape(c.lack)}</td></tr>"
            for c in self.named.checks())
        last = "No clone is named, so <b>a stand-in runs below</b>: this project's own trainer " \
            f"behind the command line of <code>{self.training_script}</code>. It shows the flow " \
            "and the files. Its pictures are not those of the original." if self.stand_in \
            else "The cells below run your clone." if self.named.missing() is None \
            else "The cells below wait until nothing is missing."
        return HTML(f"<p><b>License</b>: {html.escape(self.named.license)}. <a href='"
                    f"{self.named.url}'>{self.named.url}</a></p><table><tr><th></th>"
                    "<th style='text-align:left'>its README says</th>"
                    f"<th style='text-align:left'>on this machine</th></tr>{rows}</table>"
                    f"<p>{last}</p>")

    def prepare(self):
        """Write the dataset as the program reads it; show its files and the first pictures."""
        with Bar("writing the dataset"):
            files = self.program.prepare()
        print("\n".join(tree(files, self.program.folder)))
        return show(contact_sheet(self.first_pictures(files), SHOWN, CELL))

    def train(self, more: int | None = None):
        """Train for so many iterations more, None = to the end; show the loss and the log.

        What is trained already is not trained again, after a stop it goes on from the last
        checkpoint. IdfError with the script's last words where it fails.
        """
        goal = self.total if more is None else min(self.done + more, self.total)
        figure = _Figure(self, f"{STAND_IN if self.stand_in else ''}{self.training_script}")
        with Bar(self.training_script) as bar:
            figure.bar = bar
            self.program.watch = figure.line
            try:
                self.program.train(max(goal, 1), reporter=figure)
            finally:
                self.program.watch = lambda line: None
                figure.points = self.program.losses()  # those between two reports, too
                figure.draw()

    def held_out(self):
        """Render the test views by the program's own script; show them below the originals."""
        with Bar("rendering and measuring"):
            self.program.render()
            pairs = self.pairs()
            try:
                files = self.program.metrics()
            except IdfError as error:
                files = []
                print(f"{error.what}: {error.found}. To get them: {error.do}")
        values = [psnr(picture, original) for original, picture in pairs]
        print(f"{len(pairs)} held-out views, {np.mean(values):.2f} dB PSNR after {self.done} "
              f"iterations" + "".join(f"\n{self.shorter(f)}" for f in files))
        some = range(0, len(pairs), -(-len(pairs) // SHOWN))
        return show(before_after([pairs[i][0] for i in some], [pairs[i][1] for i in some], CELL,
                                 [f"{values[i]:.1f} dB" for i in some],
                                 rows=("picture", f"{STAND_IN if self.stand_in else ''}render")))

    def shorter(self, path: Path) -> str:
        """Return a path below the program's folder as text."""
        return str(path.relative_to(self.program.folder))

    def first_pictures(self, files: list[Path]) -> list[np.ndarray]:
        """Return some training pictures as the program gets them."""
        raise NotImplementedError

    def pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the original and the render of each test view, float32 in [0, 1]."""
        raise NotImplementedError


class GraphdecoSteps(UpstreamSteps):
    """3D Gaussian Splatting as published by graphdeco, see `UpstreamSteps`."""

    program_type, stand_in_type = GraphdecoProgram, GraphdecoStandIn
    stand_in_iterations = 1000
    training_script = "train.py"

    def first_pictures(self, files):
        return [read_image(p) for p in files if p.suffix == ".png"][:SHOWN]

    def pairs(self):
        return [tuple(_unit(p) for p in (f.parent.parent / "gt" / f.name, f))
                for f in self.program.render()]

    def view(self):
        """Return a widget to turn the newest model in."""
        print(f"{STAND_IN if self.stand_in else ''}{self.program.model()}")
        return view(self.program.folder / "model",
                    note="stand-in, not graphdeco's" if self.stand_in else "3DGS as published")


class NerfaceSteps(UpstreamSteps):
    """NeRFace as published, see `UpstreamSteps`."""

    program_type, stand_in_type = NerfaceProgram, NerfaceStandIn
    stand_in_iterations, most_resolution = 600, 96
    training_script = "train_transformed_rays.py"

    def prepare(self):
        shown = super().prepare()
        changes = self.program.changes
        if changes:
            print("changed in the copy of its scripts:", *(f"- {c}" for c in changes), sep="\n")
        return shown

    def first_pictures(self, files):
        train = self.program.data.train
        return [f.image() for f in train[::-(-len(train) // SHOWN)]]

    def pairs(self):
        return [(target.rgb, picture) for target, picture in self.program.pairs()]

    def edit(self, **changes: float):
        """Render one frame's camera at rest, and again with these values of the expression.

        changes: value by name, such as jawOpen=0.8; e0, e1 … where the dataset names none.
        IdfError: a name that the data does not have.
        """
        scene: Scene = self.program.scene()
        names = expression_names(self.program.data)
        moved = scene.neutral.copy()
        for name, value in changes.items():
            if name not in names:
                raise IdfError(f"The expression has no value `{name}`",
                               f"it has {shorten(names, 8)}{nearest(name, names)}",
                               "take one of those")
            moved[names.index(name)] = value
        camera = scene.cameras[0].fitted(self.program.config.resolution)
        with Bar("rendering twice"):
            pictures = scene.render_each(camera, [None, moved])
        said = ", ".join(f"{n} = {v:g}" for n, v in changes.items())
        mark = STAND_IN if self.stand_in else ""
        return show(contact_sheet(pictures, 2, 2 * CELL, [f"{mark}at rest", f"{mark}{said}"]))


class _Figure(Reporter):
    """The curve of the loss and the last lines of the log, drawn while a script runs; it is the
    reporter of the program, and passes on to the bar."""

    def __init__(self, steps: UpstreamSteps, title: str):
        from IPython.display import Image, display

        self.steps, self.title, self.bar = steps, title, Bar()
        self.points = steps.program.losses()
        self.lines = steps.program.last_lines(TAIL)
        self._drawn = -np.inf
        self._handle = display(Image(self._picture()), display_id=True)

    def training(self, p) -> None:
        before = self.points[self.points[:, 0] < p.iteration]
        self.points = np.vstack([before, (p.iteration, p.loss)])
        self.bar.step("training", p.fraction, f"iteration {p.iteration} of {self.steps.total}")
        if time.monotonic() - self._drawn > DRAW_S:
            self.draw()

    def line(self, line: str) -> None:
        if line.strip():
            self.lines = [*self.lines, line.strip()][-TAIL:]

    def note(self, text: str) -> None:
        self.bar.note(text)

    def step(self, what: str, fraction: float, details: str = "") -> None:
        self.bar.step(what, fraction, details)

    def stage(self, text: str) -> None:
        self.bar.stage(text)

    def draw(self) -> None:
        from IPython.display import Image

        if self._handle is not None:  # None outside IPython
            self._handle.update(Image(self._picture()))
        self._drawn = time.monotonic()

    def _picture(self) -> bytes:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FormatStrFormatter

        figure = Figure(figsize=(8.0, 3.4), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.09, 0.42, 0.89, 0.5))
        if len(self.points):
            axes.semilogy(*self.points.T, color="#3366aa", linewidth=1.2)
        axes.set(xlim=(0, self.steps.total), xlabel="iteration", ylabel="loss", title=self.title)
        for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis(FormatStrFormatter("%g"))
        axes.tick_params(axis="y", which="both", labelsize=8)
        axes.grid(alpha=0.3)
        figure.text(0.01, 0.01, "\n".join(x[:118] for x in self.lines), family="monospace",
                    fontsize=7, color="#555555", verticalalignment="bottom", parse_math=False)
        canvas.draw()
        return png(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def tree(files: list[Path], folder: Path) -> list[str]:
    """Return names below a folder as lines; of many pictures in one folder the first and last."""
    out: list[str] = []
    for parent in dict.fromkeys(f.parent for f in files):
        inside = sorted(f for f in files if f.parent == parent)
        names = [str(f.relative_to(folder)) for f in inside]
        pictures = [n for n in names if n.endswith(".png")]
        out += [n for n in names if n not in pictures]
        if pictures:
            out.append(pictures[0] if len(pictures) == 1 else
                       f"{pictures[0]} … {Path(pictures[-1]).name} ({len(pictures)} pictures)")
    return out


def _unit(path: Path) -> np.ndarray:
    return read_image(path)[..., :3].astype(np.float32) / 255
