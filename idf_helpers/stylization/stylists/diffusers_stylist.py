"""The stylist `diffusers`: latent diffusion (Rombach et al., 2022) in this process.

Stable Diffusion 1.5 and XL start from the view, noised as far as `strength` says, and are guided
by ControlNets (Zhang et al., 2023) that see the view's depth, edges or normals. Editors
(InstructPix2Pix; FLUX.1 Kontext, Qwen-Image-Edit and others) take the view and an instruction.
A folder's model_index.json shows which of them it holds. diffusers 0.39 to 0.42.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...data.media import resize_area, to_uint8
from ...errors import IdfError, nearest, shorten
from ...runtime.files import read_record
from ..config import PromptConfig
from ..stylist import Reference, Stylist, View, checked_picture
from .controls import control_picture
from .models import INSTALL, Folder, find, lora_file

SAMPLERS = {  # name -> diffusers' scheduler and what is changed of the model's own settings
    "unipc": ("UniPCMultistepScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    # models distilled to few steps (Lightning, Hyper, Turbo) expect the last timesteps
    "lightning": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
}
SEEDS = 3  # tried for one picture where the safety checker blackens it
SEED_STEP = 7919  # between them


@dataclass(frozen=True)
class Family:
    """How a kind of model is run.

    plain, guided: pipelines without and with ControlNets; of an editor, `plain` alone. size: the
    longer side it was trained for. controls: default ControlNets by kind.
    """

    name: str
    plain: str
    guided: str = ""
    size: int = 512
    controls: tuple[tuple[str, str], ...] = ()

    @property
    def edits(self) -> bool:
        return not self.guided


SD15 = Family("sd15", "StableDiffusionImg2ImgPipeline", "StableDiffusionControlNetImg2ImgPipeline",
              512, (("canny", "sd15-canny"), ("depth", "sd15-depth"), ("normal", "sd15-normal")))
SDXL = Family("sdxl", "StableDiffusionXLImg2ImgPipeline",
              "StableDiffusionXLControlNetImg2ImgPipeline", 1024,
              (("canny", "sdxl-canny"), ("depth", "sdxl-depth")))
EDITORS = {name: Family(name, name, size=size) for name, size in {
    "StableDiffusionInstructPix2PixPipeline": 512, "StableDiffusionXLInstructPix2PixPipeline": 768,
    "FluxKontextPipeline": 1024, "Flux2Pipeline": 1024, "Flux2KleinPipeline": 1024,
    "QwenImageEditPipeline": 1024, "QwenImageEditPlusPipeline": 1024,
    "LongCatImageEditPipeline": 1024}.items()}
SEES_SEVERAL = ("Flux2Pipeline", "Flux2KleinPipeline", "QwenImageEditPlusPipeline")


@dataclass(frozen=True)
class DiffusersConfig(PromptConfig):
    """Settings of the stylist `diffusers`. sampler: a name of SAMPLERS; "" = the model's own."""

    places: ClassVar[tuple[str, ...]] = ("device",)

    lora: str = ""
    """A LoRA put into the model: a .safetensors file, a name of `idf download` (sd15-lcm) or an id
    of the hub; "" = none."""
    safety_checker: bool = True
    """Let the model's own safety checker, where it has one, judge the pictures."""
    device: str = "auto"
    """Torch device: auto, cpu, cuda, cuda:1, mps …; or offload: a GPU, with the parts of the model
    that are not in use in main memory (slower, for small GPUs)."""


class DiffusersStylist(Stylist):
    """diffusers' pipelines.

    Editors take no ControlNet; those with an image guidance (InstructPix2Pix) get it from the
    strength, 2 at 0 to 1 at 1, the others do not know how far to go. Editors that see several
    pictures get the nearest styled neighbor as the second.

    The model is looked for and checked at once, and loaded with the first picture. Nothing is ever
    downloaded.
    """

    name = "diffusers"
    config_type = DiffusersConfig
    source_type = "compositeWithTrainedAlgorithmicMedia"
    reads_prompt = True
    multiple = 8

    def __init__(self, config: DiffusersConfig):
        super().__init__(config)
        self.model = config.model or "sd15"
        self._folder = find(self.model, "pipeline")
        self.family = _family(self.model, self._folder)
        self.size = self.family.size
        if config.sampler and config.sampler not in SAMPLERS:
            raise IdfError(f"There is no sampler {config.sampler!r} here",
                           config.sampler + nearest(config.sampler, SAMPLERS),
                           f"use one of: {', '.join(SAMPLERS)}; leave it out for the model's own")
        if self.family.edits and config.controlnet:
            raise IdfError(f"The model {self.model} is an editor and takes no ControlNet",
                           f"controlnet {', '.join(config.controlnet)}", "leave --controlnet out")
        self._controls = {} if self.family.edits else self._find_controls()
        self._lora = lora_file(config.lora) if config.lora else None
        if self._lora and importlib.util.find_spec("peft") is None:
            raise IdfError("A LoRA needs the package peft", "not installed", INSTALL)
        self._pipeline = None

    @property
    def controls(self) -> Collection[str]:
        return self._controls

    def settings(self) -> dict:
        c = self.config
        return {
            "stylist": self.name, "model": self.model, "files": self._folder.fingerprint(),
            "negative_prompt": c.negative_prompt, "steps": c.steps, "guidance": c.guidance,
            "sampler": c.sampler, "safety_checker": c.safety_checker,
            "lora": [c.lora, self._lora.stat().st_size] if self._lora else [],
            "controlnet": {kind: [found.fingerprint(), c.controls()[kind].weight]
                           for kind, found in self._controls.items()}}

    def stylize(self, view: View, prompt: str, seed: int, strength: float,
                references: Sequence[Reference] = ()) -> np.ndarray:
        """Return the model's picture. One that the safety checker blackens is tried again with
        other seeds, the same ones every time; then it is an error."""
        pipeline = self._load()
        arguments = self._arguments(pipeline, view, prompt, strength, references)
        flagged = False
        for attempt in range(SEEDS):
            picture, flagged = self._run(pipeline, arguments, (seed + attempt * SEED_STEP) % 2**32,
                                         view)
            if not flagged and not _black(picture, view):
                return checked_picture(picture, view, self.name)
        raise IdfError(f"The stylist `diffusers` gave a black picture for {view.name}",
                       ("flagged by the model's safety checker" if flagged else "all pixels black")
                       + f", with {SEEDS} seeds", "change the prompt or the seed" if flagged else
                       "try --device cpu: half precision may not be enough for this model")

    def close(self) -> None:
        """Free the model's memory."""
        self._pipeline = None
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # ---- the model

    def _find_controls(self) -> dict[str, Folder]:
        defaults, found = dict(self.family.controls), {}
        for kind, (model, _) in self.config.controls().items():
            wanted = model or defaults.get(kind)
            if wanted is None:
                raise IdfError(f"There is no default ControlNet for {kind} with {self.model}",
                               f"defaults for {', '.join(defaults)}",
                               f"name one, --controlnet {kind}=MODEL, or use another --controlnet")
            found[kind] = find(wanted, "controlnet")
            self._check_fit(wanted, found[kind])
        return found

    def _check_fit(self, name: str, control: Folder) -> None:
        """Raise IdfError where a ControlNet was made for another kind of model."""
        if control.index.get("_class_name") != "ControlNetModel":
            raise IdfError(f"{name} is not a ControlNet that can be used here",
                           str(control.index.get("_class_name", "another model")),
                           "use a ControlNetModel (not a union or an adapter)")
        config = self._folder.path / "unet" / "config.json"
        unet = read_record(config, ("cross_attention_dim",), "settings of the model")
        dims = unet["cross_attention_dim"], control.index.get("cross_attention_dim")
        if dims[0] != dims[1]:
            raise IdfError(f"The ControlNet {name} does not fit the model {self.model}",
                           f"it expects texts of {dims[1]} numbers, the model has {dims[0]}",
                           "use ControlNets made for that model: SD 1.5, SD 2 and SDXL differ")

    def _load(self):
        if self._pipeline is not None:
            return self._pipeline
        import diffusers
        import torch

        c, device = self.config, _device(self.config.device)
        dtype = _precision(device, self.family)
        options = {"torch_dtype": dtype, "local_files_only": True, "use_safetensors": True}
        with _quiet(), _loading(self.model):
            if self._controls:
                nets = [diffusers.ControlNetModel.from_pretrained(
                    f.path, variant=f.variant, **options) for f in self._controls.values()]
                options["controlnet"] = nets if len(nets) > 1 else nets[0]
            if not c.safety_checker and "safety_checker" in self._folder.index:
                options.update(safety_checker=None, requires_safety_checker=False)
            kind = getattr(diffusers, self.family.guided if self._controls else self.family.plain)
            pipeline = kind.from_pretrained(self._folder.path, variant=self._folder.variant,
                                            **options)
            if self._lora:
                pipeline.load_lora_weights(str(self._lora.parent), weight_name=self._lora.name,
                                           local_files_only=True)
                pipeline.fuse_lora()
            if c.sampler:
                name, changes = SAMPLERS[c.sampler]
                pipeline.scheduler = getattr(diffusers, name).from_config(
                    pipeline.scheduler.config, **changes)
        pipeline.set_progress_bar_config(disable=True)
        with _quiet(), _memory():
            self._place(pipeline, device, torch)
        self._pipeline = pipeline
        return pipeline

    def _place(self, pipeline, device, torch) -> None:
        if self.config.device == "offload":
            if importlib.util.find_spec("accelerate") is None:
                raise IdfError("Moving a model in parts needs the package accelerate",
                               "not installed", INSTALL)
            pipeline.enable_model_cpu_offload(device=device)
        else:
            pipeline.to(device)
        if device.type == "cuda":
            # one attention head after another, large pictures in tiles: less memory for some time
            with contextlib.suppress(AttributeError, NotImplementedError):
                pipeline.enable_attention_slicing()
            with contextlib.suppress(AttributeError, NotImplementedError):
                pipeline.vae.enable_slicing()
                pipeline.vae.enable_tiling()

    # ---- one picture

    def _arguments(self, pipeline, view: View, prompt: str, strength: float, references) -> dict:
        """Return what the pipeline's call takes of all that we know."""
        from PIL import Image

        c, takes = self.config, inspect.signature(pipeline.__call__).parameters
        source = Image.fromarray(view.picture())
        width, height = view.size
        # the pipeline leaves out the first of `steps`, down to int(steps * strength)
        steps = c.steps if self.family.edits else max(c.steps, math.ceil(1 / strength))
        offered = {
            "prompt": prompt, "image": source, "strength": strength, "num_inference_steps": steps,
            "guidance_scale": c.guidance, "true_cfg_scale": c.guidance,
            "image_guidance_scale": 2.0 - strength, "height": height, "width": width,
            "output_type": "np"}
        if c.negative_prompt:
            offered["negative_prompt"] = c.negative_prompt
        if self.family.name in SEES_SEVERAL and references:
            second = resize_area(to_uint8(references[0].picture), width, height)
            offered["image"] = [source, Image.fromarray(second)]
        if "true_cfg_scale" in takes and "negative_prompt" not in offered:
            # without a negative prompt these skip the guidance; a blank one turns it on
            offered["negative_prompt"] = " "
        if self._controls:
            pictures = [Image.fromarray(control_picture(view, kind)) for kind in self._controls]
            weights = [c.controls()[kind].weight for kind in self._controls]
            several = len(pictures) > 1
            offered.update(control_image=pictures if several else pictures[0],
                           controlnet_conditioning_scale=weights if several else weights[0])
        return {k: v for k, v in offered.items() if k in takes}

    def _run(self, pipeline, arguments: dict, seed: int, view: View) -> tuple[np.ndarray, bool]:
        """Return ((H, W, 3) float32, whether the safety checker flagged it)."""
        import torch

        # drawn on the CPU, so that every device starts from the same noise
        generator = torch.Generator("cpu").manual_seed(seed)
        if "callback_on_step_end" in inspect.signature(pipeline.__call__).parameters:
            arguments = {**arguments, "callback_on_step_end": self._after_step}
        with torch.inference_mode(), _memory():
            result = pipeline(**arguments, generator=generator)
        flags = getattr(result, "nsfw_content_detected", None)
        flagged = bool(flags and any(bool(f) for f in flags))
        picture = np.asarray(result.images[0], np.float32)
        if self.family.edits and picture.shape[:2] != (view.size[1], view.size[0]):
            import cv2  # some editors work at their own number of pixels, whatever is asked for

            picture = cv2.resize(picture, view.size, interpolation=cv2.INTER_AREA)
        return picture, flagged

    def _after_step(self, pipeline, step: int, timestep, kwargs: dict) -> dict:
        if self.progress is not None:
            total = max(1, getattr(pipeline, "num_timesteps", 1) or 1)
            self.progress(min(1.0, (step + 1) / total), f"step {step + 1} of {total}")
        return kwargs


def _family(model: str, folder: Folder) -> Family:
    """Return the family of a model; IdfError for a pipeline that is none of ours."""
    import diffusers

    kind = folder.index["_class_name"]
    with _quiet():
        if isinstance(kind, str) and kind in EDITORS and hasattr(diffusers, kind):
            return EDITORS[kind]
    for family, stem in ((SDXL, "StableDiffusionXL"), (SD15, "StableDiffusion")):
        if kind in (
                stem + "Pipeline", stem + "Img2ImgPipeline", family.plain, family.guided,
                stem + "ControlNetPipeline", stem + "InpaintPipeline"):
            return family
    raise IdfError(f"The model {model} is of a kind that is not used here", str(kind),
                   "use a Stable Diffusion 1.x, 2.x or XL model, or an editor: "
                   + ", ".join(EDITORS))


def _device(name: str):
    import torch

    if name in ("auto", "offload"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise IdfError(f"The device {name!r} cannot be used", str(error).split("\n")[0][:160],
                       "use --device auto or cpu") from None
    return device


def _precision(device, family: Family):
    """Return half precision off the CPU; bfloat16 for large editors where the GPU has it."""
    import torch

    if device.type == "cpu":
        return torch.float32
    large = family.edits and "StableDiffusion" not in family.name
    return torch.bfloat16 if large and device.type == "cuda" and torch.cuda.is_bf16_supported() \
        else torch.float16


def _black(picture: np.ndarray, view: View) -> bool:
    """Return whether a picture is empty (NaN counts as nothing), though the view is not."""
    return float(np.nan_to_num(picture).max()) < 4 / 255 and view.source().max() > 16 / 255


@contextlib.contextmanager
def _memory():
    """Turn a full GPU into an IdfError."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise IdfError("The GPU's memory is full", str(error).split(". ")[0][:200],
                       "a smaller --size, --device offload, fewer --controlnet, or --device cpu"
                       ) from None


@contextlib.contextmanager
def _loading(model: str):
    """Turn what loading raises for damaged files into an IdfError."""
    import json

    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, ImportError,
            SafetensorError, json.JSONDecodeError) as error:
        raise IdfError(f"The model {model} cannot be loaded",
                       shorten(str(error).strip().split("\n"), 2)[:300] or type(error).__name__,
                       "fetch it again; diffusers 0.39 to 0.42 are supported") from error


@contextlib.contextmanager
def _quiet():
    """Silence diffusers' and transformers' remarks and bars: about torchvision, which nothing here
    needs, about a checker that the user left out, about names of arguments that come and go."""
    import warnings

    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    before = ours.get_verbosity(), theirs.get_verbosity()
    ours.set_verbosity_error(), theirs.set_verbosity_error()
    ours.disable_progress_bar(), theirs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        ours.set_verbosity(before[0]), theirs.set_verbosity(before[1])
        ours.enable_progress_bar(), theirs.enable_progress_bar()
