"""Settings of the diffusion stage; apart, so that the command line need not load the stage to ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..errors import IdfError
from ..runtime.settings import check_ranges

SCHEDULE = (1.0, 0.75, 0.6)  # shares of the strength in the first, second, later iterations
MODES = ("auto", "independent", "grid", "anchored")


@dataclass(frozen=True)
class StylizeConfig:
    """What a stylist is told. A field that a stylist has no use for does not change its output."""

    prompt: str = ""
    """What the views are to become, in words. Not read by `preset` and `exemplar`."""
    negative_prompt: str = ""
    """What they must not show. Same."""
    strength: float | None = None
    """How far from the source a picture may go, in (0, 1]; img2img's denoising strength. None =
    1 for `preset` and `exemplar`, 0.6 for the others."""
    seed: int = 0
    """Start of every random draw, 0 or more; the same for every key view."""
    steps: int = 20
    """Denoising steps before `strength` takes its share, 1 to 200."""
    guidance: float = 7.0
    """Classifier-free guidance scale, 0 to 50 (few-step models want 1 to 2)."""
    size: int | None = None
    """Longer side in pixels of the picture that the stylist works on, of the whole sheet in grid
    mode; 16 to 8192, None = what suits the stylist."""

    mode: Literal["auto", "independent", "grid", "anchored"] = "auto"
    """auto: anchored for `exemplar`, else independent. independent: each key view by itself.
    grid: `grid` x `grid` of them in one picture, so that they share attention. anchored: one after
    the other, each starting from what the styled neighbors show of it."""
    grid: int = 2
    """Key views on a side of the sheet, 1 to 8."""
    anchor: float = 0.75
    """In anchored mode, how much of what the neighbors show is kept, 0 to 1."""

    preset: str = ""
    """Name of a look for the stylist `preset`."""
    exemplar: str = ""
    """For the stylist `exemplar`: picture file of one view, painted over."""
    exemplar_frame: str = ""
    """Name of the frame that the exemplar shows, e.g. train_main/r_0; "" = told by its file name,
    else the frame in front."""

    model: str = ""
    """Model of the stylist: a folder, or an id of the Hugging Face hub (diffusers), a checkpoint's
    title (a1111, comfyui); "" = the stylist's default, or what the server has loaded."""
    controlnet: tuple[str, ...] = ("depth", "canny")
    """What guides the picture: names out of canny, depth, normal; empty = nothing."""
    controlnet_models: tuple[str, ...] = ()
    """Their models, in the same order; empty = the stylist's defaults."""
    control_weight: float = 1.0
    """Weight of each control picture, 0 to 2."""
    sampler: str = ""
    """Sampler or scheduler by name; "" = the stylist's default."""
    lora: str = ""
    """For `diffusers`: a LoRA put into the model, as a .safetensors file, a name of `idf download`
    (sd15-lcm) or an id of the hub; "" = none."""
    offload: bool = False
    """For `diffusers`: whether parts of the model wait in main memory; slower, for small GPUs."""
    safety_checker: bool = True
    """Whether the model's own safety checker, where it has one, judges the pictures."""
    device: str = "auto"
    """Torch device of `diffusers`: auto, cpu, cuda, cuda:1, mps …"""

    server: str = ""
    """Address of the server (a1111, comfyui), http or https; "" = its default on this machine.
    A password goes into the environment variable IDF_SERVER_AUTH as user:password."""
    allow_remote: bool = False
    """Whether pictures may be sent to a server that is not on this machine."""
    timeout_s: float = 600.0
    """Seconds to wait for one picture of a server, 0.1 or more."""
    workflow: str = ""
    """Workflow file in API form, for `comfyui`."""

    def checked(self) -> StylizeConfig:
        """Self, or IdfError naming the first field that is out of range."""
        ranges = {
            "strength": (1e-3, 1.0), "seed": (0, 2**32 - 1), "steps": (1, 200),
            "guidance": (0.0, 50.0), "size": (16, 8192), "grid": (1, 8), "anchor": (0.0, 1.0),
            "control_weight": (0.0, 2.0), "timeout_s": (0.1, math.inf),
        }
        check_ranges(self, ranges)
        if self.mode not in MODES:
            raise IdfError("There is no such mode of styling", f"{self.mode!r}",
                           f"use one of: {', '.join(MODES)}")
        unknown = [c for c in self.controlnet if c not in ("canny", "depth", "normal")]
        if unknown:
            raise IdfError("There is no such control picture", ", ".join(map(repr, unknown)),
                           "use canny, depth or normal")
        if self.controlnet_models and len(self.controlnet_models) != len(self.controlnet):
            raise IdfError("Every control picture needs its model",
                           f"{len(self.controlnet)} control pictures, "
                           f"{len(self.controlnet_models)} models",
                           "give as many controlnet_models as controlnet, or none")
        return self


@dataclass(frozen=True)
class RowConfig:
    """Which views are styled, and how all of them are made."""

    keys: int | None = None
    """How many views the stylist gets, 1 or more; the others are propagated. None = all for
    `preset`, else 8."""
    batch: int | None = None
    """In place of `keys`: one view out of so many in a row, 1 or more."""
    batch_key: Literal["middle", "first"] = "middle"
    """Which one of such a batch."""
    resolution: int | None = None
    """Longer side of the pictures in pixels, 16 to 8192; None = as they are."""
    background: Literal["white", "gray", "black"] = "white"
    """What lies behind the head in what the stylist gets."""
    depth_s: float = 60.0
    """Seconds of training for the splats that give the depth, where it is needed and no model is
    given; more than 0."""
    clip: str = ""
    """Local folder of a CLIP model, for the measure of the prompt's effect; "" = not measured."""

    def checked(self) -> RowConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"keys": (1, 100_000), "batch": (1, 100_000),
                            "resolution": (16, 8192),
                            "depth_s": (0.01, 1e6)})
        return self


@dataclass(frozen=True)
class PropagateConfig:
    """How styled key views become all views."""

    propagator: str = "auto"
    """auto, geometry, flow, patchmatch or ebsynth; auto = geometry where there is depth."""
    tolerance: float = 0.02
    """How far depths of two views may differ at one surface point, scene radii, 0.001 to 0.5."""
    power: float = 4.0
    """Exponent of the cosine that weights the keys, 0 to 32; high = the best key alone."""
    harmonize: bool = True
    """Whether the keys are brought to one color where they see the same surface."""
    closed: bool | None = None
    """Whether the last view is the neighbor of the first; None = told from the cameras."""
    ebsynth: str = ""
    """With `ebsynth`: "" = its program (EBSYNTH_BIN, or on the PATH); a folder = hand-over to the
    program with windows: keys/, frames/ are written there, out_*/ read back."""

    def checked(self) -> PropagateConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"tolerance": (1e-3, 0.5), "power": (0.0, 32.0)})
        return self


@dataclass(frozen=True)
class LoopConfig:
    """What the loop does besides styling."""

    start: int = 0
    """Number of the video that it starts from, iter<start>.mp4; 0 or more."""
    end: int = 1
    """Number of the last video that it makes; more than start."""
    strengths: tuple[float, ...] = ()
    """Strength of iteration 1, 2 …, each in (0, 1], the last one for all that follow; empty = the
    stylist's strength, then 0.75 and 0.6 of it."""
    fps: float = 30.0
    """Frames a second of the videos, 1 to 240."""
    max_frames: int | None = None
    """Only so many views, evenly spread, 4 or more; None = all."""
    splat_s: float = 60.0
    """Seconds of training of each iteration's splats, more than 0."""
    splat_iterations: int | None = None
    """The same in training steps, 1 or more; takes the place of the seconds."""
    splat_resolution: int | None = 256
    """Longer side in pixels at which splats are trained, 16 or more; None = that of the views."""

    def checked(self) -> LoopConfig:
        """Self, or IdfError naming the first field that is out of range."""
        check_ranges(self, {"start": (0, 10_000), "end": (1, 10_000), "fps": (1.0, 240.0),
                            "max_frames": (4, 1_000_000), "splat_s": (0.01, 1e6),
                            "splat_iterations": (1, 1e9), "splat_resolution": (16, 16384)})
        if self.end <= self.start:
            raise IdfError("The loop has nothing to do", f"start {self.start}, end {self.end}",
                           "give an end after the start")
        if not all(0 < s <= 1 for s in self.strengths):
            raise IdfError("The setting `strengths` is out of range", f"{self.strengths}",
                           "give values in (0, 1]")
        return self

    def strength(self, iteration: int, base: float) -> float:
        """Of iteration 1, 2 …; base: what the stylist is told, or its own default."""
        if self.strengths:
            return self.strengths[min(iteration, len(self.strengths)) - 1]
        return base * SCHEDULE[min(iteration, len(SCHEDULE)) - 1]
