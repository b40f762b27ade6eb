"""Training by somebody else's program, in steps that can be called one by one.

    p = GraphdecoProgram.open(data, "runs/published", GraphdecoConfig(iterations=7000))
    p.check()                    # what will run; IdfError where something is missing
    p.prepare()                  # the dataset as the program reads it
    p.train(iterations=1000)     # a first part; the next call goes on from there
    p.train()
    p.render()
    p.metrics()

Each step returns the files that it left, to look at; what is done is not done again. The steps are
kept in a run folder: `reconstruct` with the same data and settings goes on with them.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from ...data.dataset import Dataset
from ...errors import IdfError
from ...runtime.files import read_json, write_json
from ...runtime.progress import Reporter
from ...runtime.runs import RunFolder
from ...runtime.settings import check_range
from ..config import CountedConfig
from .clone import Clone

RECORD = "steps.json"  # in the program's folder: what is done


class UpstreamProgram(ABC):
    """One training by a published program.

    stage, method: of its run folder. clone_type: the program. config_type: its settings.
    data: the dataset with the splits that count. folder: of everything that the program leaves.
    watch: gets each line that its scripts print, first the command line itself.
    """

    stage: ClassVar[str]
    method: ClassVar[str]
    clone_type: ClassVar[type[Clone]]
    config_type: ClassVar[type[CountedConfig]]

    def __init__(self, data: Dataset, config: Any, run: RunFolder, clone: Clone | None = None):
        self.data, self.config, self.run = data, config, run
        self.clone = clone or self.clone_type.here()
        self.watch: Callable[[str], None] = lambda line: None
        self._inside = False

    @classmethod
    def open(cls, data: Dataset, out, config: Any = None, clone: Clone | None = None) -> Self:
        """Return the program on a dataset, with `out` as its run folder. clone: None = the one that
        the environment names. IdfError: bad settings."""
        config = (cls.config_type() if config is None else config).checked()
        # what a stand-in trained is never gone on with by the real one
        other = {"stand_in": True} if clone is not None and clone.stand_in else {}
        return cls(data, config, RunFolder(out, stage=cls.stage, backend=cls.method,
                                           config=config.identity() | other,
                                           inputs=data.fingerprint(),
                                           defaults=type(config)().identity()), clone)

    @classmethod
    def within(cls, data: Dataset, config: Any, run: RunFolder) -> Self:
        """Return the program in a run folder that is entered already."""
        program = cls(data, config, run)
        program._inside = True
        program._discard_earlier()
        return program

    # --- the steps --------------------------------------------------------------------------------

    def check(self) -> str:
        """Return what will run; IdfError where something is missing for it."""
        if lack := self.clone.missing():
            raise IdfError(f"{self.clone.name} cannot run here", lack,
                           "get what is missing, or choose another method of `idf doctor`")
        self._check_data()
        return f"{self.clone.name} from {self.clone.source}; {self.clone.license}"

    def prepare(self) -> list[Path]:
        """Write the dataset as the program reads it; return the files."""
        self.check()
        with self._entered():
            if "prepare" not in self.record:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._note("prepare", self._prepare())
            return [self.folder / name for name in self.record["prepare"]]

    def train(self, iterations: int | None = None, reporter: Reporter | None = None) -> list[Path]:
        """Train up to so many iterations in all, None = all of them; return the newest model.

        IdfError with the script's last words where it fails; the next call goes on from the last
        checkpoint.
        """
        goal = self.config.steps if iterations is None else iterations
        check_range("iterations", goal, 1, self.config.steps)
        self.prepare()
        with self._entered():
            if self.training.get("iterations", 0) < goal:
                spent, began = self.record.get("seconds", 0.0), time.perf_counter()
                try:
                    more = self._train(goal, reporter or Reporter(), spent)
                finally:  # also of a stopped one
                    self._note("seconds", round(spent + time.perf_counter() - began, 3))
                for later in ("render", "metrics"):
                    self.record.pop(later, None)
                self._note("train", {"iterations": goal} | more)
            return [self.model()]

    def render(self) -> list[Path]:
        """Render the test views with the program's own script; return the pictures."""
        self._need("train")
        with self._entered():
            if "render" not in self.record:
                self._note("render", [str(p.relative_to(self.folder)) for p in self._render()])
            return [self.folder / name for name in self.record["render"]]

    def metrics(self) -> list[Path]:
        """Measure the rendered views; return the files that hold the measures."""
        self._need("render")
        with self._entered():
            if "metrics" not in self.record:
                self._note("metrics", [str(p.relative_to(self.folder)) for p in self._metrics()])
            return [self.folder / name for name in self.record["metrics"]]

    # --- what a program defines -------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder of everything that the program leaves."""
        return self.run.path.resolve() / self.method

    @abstractmethod
    def _check_data(self) -> None:
        """Raise IdfError for data or settings that the program does not know."""

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Write the dataset; return names of files below `folder`."""

    @abstractmethod
    def _train(self, iterations: int, reporter: Reporter, seconds: float) -> dict:
        """Train from the newest checkpoint up to `iterations`; return what else to keep of it.

        seconds: that were trained before.
        """

    @abstractmethod
    def model(self) -> Path:
        """Return the newest model. IdfError where there is none."""

    @abstractmethod
    def _render(self) -> list[Path]:
        """Render the test views, in order."""

    @abstractmethod
    def _metrics(self) -> list[Path]:
        """Measure what was rendered."""

    @abstractmethod
    def _outputs(self) -> list[Path]:
        """Return the files and folders that a new start must not find."""

    # --- what is done -----------------------------------------------------------------------------

    @property
    def record(self) -> dict:
        """What is done: step -> what it left."""
        if not hasattr(self, "_record"):
            file = self.folder / RECORD
            self._record = read_json(file, "record of steps") if file.is_file() else {}
        return self._record

    @property
    def training(self) -> dict:
        """Iterations and seconds of the training so far."""
        return self.record.get("train", {}) | {"seconds": self.record.get("seconds", 0.0)}

    def _run(self, script: str, arguments: list[str], take: Callable[[str], None] | None = None,
             folder: Path | None = None) -> str | None:
        """Run a script of the clone, see `Clone.run`; its output goes into output.log."""
        def both(line: str) -> None:
            if take is not None:
                take(line)
            self.watch(line)

        self.watch(f"$ python {shlex.join([script, *arguments])}".replace(f"{self.folder}/", ""))
        return self.clone.run(script, arguments, folder=folder, log=self.log, take=both)

    @property
    def log(self) -> Path:
        """The file that holds what its scripts printed."""
        return self.folder / "output.log"

    def losses(self) -> np.ndarray:
        """Return what the training printed so far, (N, 2) of iteration and loss; of a part that was
        lost at a stop only what was trained in its place."""
        found: dict[int, float] = {}
        if self.log.is_file():
            with open(self.log, encoding="utf-8", errors="replace") as lines:
                for n, loss in filter(None, map(self._point, lines)):
                    if found and n <= next(reversed(found)):
                        found = {k: v for k, v in found.items() if k < n}
                    found[n] = loss
        return np.array(list(found.items()), float).reshape(-1, 2)

    def last_lines(self, count: int) -> list[str]:
        """Return the last lines that its scripts printed and that are not empty."""
        if not self.log.is_file():
            return []
        text = self.log.read_bytes()[-200 * count:].decode("utf-8", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()][-count:]

    @staticmethod
    @abstractmethod
    def _point(line: str) -> tuple[int, float] | None:
        """Return iteration and loss of a line that its training script printed; None for others."""

    def failed(self, script: str, words: str, do: str = "") -> IdfError:
        """Return the error for a script that failed with these last words."""
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        return IdfError(f"{self.clone.name}'s {script} failed",
                        (lines[-1] if lines else "it printed nothing")[:300],
                        do or f"look at {self.log}")

    def _note(self, step: str, value) -> None:
        self.record[step] = value
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, self.record)

    def _need(self, step: str) -> None:
        if step not in self.record:
            raise IdfError(f"The step `{step}` of {self.clone.name} comes first",
                           f"done so far: {', '.join(self.record) or 'nothing'}",
                           f"call {step}()")

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        """Hold the run folder during a step, unless it is held already."""
        if self._inside:
            yield
            return
        with self.run:
            self._inside = True
            self._discard_earlier()
            try:
                yield
            finally:
                self._inside = False

    def _discard_earlier(self) -> None:
        """Remove what another run left, where this one starts from nothing."""
        if not self.run.resumed:
            for path in (*self._outputs(), self.folder / RECORD):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            self._record = {}
