"""Settings of the stage `stylize`: what stylists share, which views they get, and the loop.

Each stylist has its own settings and reads all of them; those that are not here stand beside it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from ..errors import IdfError
from ..reconstruction.config import TrainingConfig
from ..runtime.files import sha256_file
from ..runtime.settings import RECIPE, Annotated, Interval, Settings, check_range

SCHEDULE = (1.0, 0.75, 0.6)  # shares of the strength in the first, second, later iterations
CONTROLS = ("canny", "depth", "normal")

Strength = Annotated[float, Interval(gt=0, le=1)]
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Pixels = Annotated[int | None, Interval(ge=16, le=8192)]


@dataclass(frozen=True)
class StylizeConfig(Settings):
    """Settings that all stylists read."""

    # what holds for a stylist that does not read it
    prompt: ClassVar[str] = ""
    seed: ClassVar[int] = 0
    size: ClassVar[int | None] = None
    mode: ClassVar[str] = "independent"
    places: ClassVar[tuple[str, ...]] = ()
    """Fields that say where the work is done; they do not change the pictures."""

    strength: Strength | None = None
    """How far from the source a picture may go: the denoising strength of image-to-image. None: 1
    for `preset`, `exemplar` and `neural`, 0.6 for the others."""

    @property
    def sides(self) -> int:
        """Key views on a side of one sheet; 1 where each is styled by itself."""
        return int(self.mode[0]) if self.mode[0].isdigit() else 1

    def identity(self) -> dict:
        """Return what identifies a run; files by their content."""
        return {k: v for k, v in asdict(self).items() if k not in self.places}


class Control(NamedTuple):
    """A ControlNet: its model, "" = the stylist's default, and its weight."""

    model: str
    weight: float


@dataclass(frozen=True)
class PromptConfig(StylizeConfig):
    """Settings of all stylists that read a prompt."""

    prompt: str = ""
    """What the views are to become, in words."""
    negative_prompt: str = ""
    """What the pictures must not show."""
    seed: Seed = 0
    """Start of every random draw; the same for every key view."""
    steps: Annotated[int, Interval(ge=1, le=200)] = 20
    """Denoising steps before `strength` takes its share."""
    guidance: Annotated[float, Interval(ge=0, le=50)] = 7.0
    """Classifier-free guidance scale (few-step models want 1 to 2)."""
    size: Pixels = None
    """Longer side in pixels of the picture that the stylist works on, of a whole sheet with mode
    2x2; None = what suits the stylist."""
    mode: str = "independent"
    """independent: each key view by itself. anchored: one after the other, each starting from what
    its styled neighbors show of it. 2x2, 3x3 … 8x8: so many in one picture, so that they share
    attention."""
    model: str = ""
    """A folder or an id of the Hugging Face hub (diffusers), a checkpoint's title (a1111) or file
    (comfyui); "" = the stylist's default, or what the server has loaded."""
    controlnet: tuple[str, ...] | None = None
    """What guides the picture: canny, depth, normal, each KIND[=MODEL][:WEIGHT] with a weight of 0
    to 2, e.g. depth:0.5; empty = nothing. None = depth and canny, where the model takes them."""
    sampler: str = ""
    """Sampler or scheduler by name; "" = the stylist's default."""

    def controls(self) -> dict[str, Control]:
        """Return what guides the picture, by the kind of control picture."""
        out = {}
        for text in ("depth", "canny") if self.controlnet is None else self.controlnet:
            rest, _, weight = text.rpartition(":")
            try:
                rest, factor = (rest, float(weight)) if rest else (text, 1.0)
            except ValueError:  # a colon of the model's name
                rest, factor = text, 1.0
            kind, _, model = rest.partition("=")
            if kind not in CONTROLS:
                raise IdfError("This kind of control picture is unknown", repr(kind),
                               f"use {', '.join(CONTROLS)}, with a model of your own KIND=MODEL")
            check_range(f"weight of {kind}", factor, 0, 2)
            out[kind] = Control(model, factor)
        return out

    def _check_together(self) -> None:
        self.controls()
        if self.mode not in ("independent", "anchored") and \
                not re.fullmatch(r"([1-8])x\1", self.mode):
            raise IdfError("The setting `mode` is unknown", repr(self.mode),
                           "use independent, anchored, or a sheet such as 2x2")


@dataclass(frozen=True)
class ServerConfig(PromptConfig):
    """Settings of stylists that work on a server of the user's."""

    places: ClassVar[tuple[str, ...]] = ("server", "allow_remote", "timeout_s")

    server: str = ""
    """Address of the server, http or https; "" = its default on this machine. A password goes into
    the environment variable IDF_SERVER_AUTH as user:password."""
    allow_remote: bool = False
    """Allow pictures to be sent to a server that is not on this machine."""
    timeout_s: Annotated[float, Interval(ge=0.1)] = 600.0
    """Seconds to wait for one picture."""


@dataclass(frozen=True)
class ExemplarConfig(StylizeConfig):
    """Settings of the stylist `exemplar`."""

    exemplar: Path | None = None
    """Picture file of one view, painted over. Its name says which one, e.g. r_0.png; any other
    name means the view in front."""
    seed: Seed = 0
    """Start of every random draw, in places that the painted view does not show."""
    mode: Literal["anchored", "independent"] = "anchored"
    """anchored: one view after the other, each seeing those before it. independent: each by
    itself."""

    def identity(self) -> dict:
        """Return every field; the painting by its name and content."""
        return super().identity() | {"exemplar": self.exemplar and
                                     [self.exemplar.name, sha256_file(self.exemplar)]}


@dataclass(frozen=True)
class NeuralConfig(StylizeConfig):
    """Settings of the stylist `neural`."""

    style: tuple[str, ...] = ()
    """Pictures whose manner the views take, PICTURE[:WEIGHT] each: paths, or the bundled swirls and
    ink; or numbers from 0 to 25 of fixed styles, NUMBER[:WEIGHT]. Several are mixed."""
    size: Annotated[int | None, Interval(ge=64, le=8192), RECIPE] = None
    """Longer side in pixels that views are painted at: smaller for coarser strokes. None = their
    own, at least 384."""

    def identity(self) -> dict:
        """Return every field; style pictures by their content."""
        from .stylists.style_pictures import parse

        return super().identity() | {"style": [
            [s.name, round(s.weight, 6), *([sha256_file(s.file)] if s.file else [])]
            for s in (parse(self.style) if self.style else ())]}


@dataclass(frozen=True)
class KeyViewConfig(Settings):
    """Which views the stylist gets, and what they look like."""

    keys: Annotated[int | None, Interval(ge=1, le=100_000)] = None
    """How many views the stylist gets; the others are propagated. None = all for `preset`, else 8.
    """
    batch: Annotated[int | None, Interval(ge=1, le=100_000)] = None
    """In place of `keys`: one view out of so many successive ones."""
    batch_key: Literal["middle", "first"] = "middle"
    """Which view of such a batch."""
    resolution: Pixels = None
    """Longer side of the pictures in pixels; None = as they are."""
    background: Literal["white", "gray", "black"] = "white"
    """What lies behind the head in what the stylist gets."""

    def _check_together(self) -> None:
        if self.keys is not None and self.batch is not None:
            raise IdfError("Key views are chosen by their number or by batches, not by both",
                           f"keys {self.keys}, batch {self.batch}", "leave one of them out")


@dataclass(frozen=True)
class LoopConfig(Settings):
    """What the loop does besides styling."""

    start: Annotated[int, Interval(ge=0, le=10_000)] = 0
    """Number of the video that it starts from, iter<start>.mp4."""
    end: Annotated[int, Interval(ge=1, le=10_000)] = 1
    """Number of the last video that it makes; more than start."""
    strengths: Annotated[tuple[float, ...], Interval(gt=0, le=1)] = ()
    """Strength of iteration 1, 2 …, the last one for all that follow; empty = the stylist's
    strength, then 0.75 and 0.6 of it."""
    fps: Annotated[float, Interval(ge=1, le=240)] = 30.0
    """Frames a second of the videos."""
    max_frames: Annotated[int | None, Interval(ge=4, le=1_000_000)] = None
    """Only so many views, evenly spread; None = all."""
    splats: TrainingConfig = TrainingConfig(budget_s=30.0)
    """How the splats of the first views are trained."""
    refit: Annotated[int, Interval(ge=1, le=1_000_000), RECIPE] = 600
    """Steps in which an iteration's splats take the new colors; at most those of `splats`."""

    def refitting(self) -> TrainingConfig:
        """Return how an iteration's splats are refitted."""
        return replace(self.splats, budget_s=None,
                       iterations=min(self.refit, self.splats.iterations or self.refit))

    def strength(self, iteration: int, base: float) -> float:
        """Return the strength of iteration 1, 2 …; base: the stylist's."""
        if self.strengths:
            return self.strengths[min(iteration, len(self.strengths)) - 1]
        return base * SCHEDULE[min(iteration, len(SCHEDULE)) - 1]

    def _check_together(self) -> None:
        if self.end <= self.start:
            raise IdfError("The loop has nothing to do", f"start {self.start}, end {self.end}",
                           "give an end after the start")
