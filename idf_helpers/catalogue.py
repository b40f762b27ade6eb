"""The registry of backends: one name a stage and method, loaded only when asked for.

`get("splats", "cpu")` imports and returns it, or says what is missing and how to get it.
`choose("splats")` is what `auto` means: the best one that this machine can run right now. It never
installs, compiles or downloads anything, and never picks a non-commercial model by itself.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field

from .errors import IdfError

STAGES = ("swap", "splats", "nerf", "avatar", "stylise", "propagate")  # in order
ASKED_FOR = ("stylise",)  # stages with no "auto": what is wanted is a matter of taste
VIEWS = "several views of one head"  # what `uv` needs: a dataset or a video
SURFACE = "the depth of every view"  # what `geometry` needs of a reconstruction


@dataclass(frozen=True)
class Backend:
    """One way to do a stage.

    target:  "module:attribute" to import.
    argument: what `target` is called with to get the object; None = it is the object.
    trainer: the same of what trains in place of `splats.train.fit`; "" = that one trains.
    summary: what it does, in a line for people.
    rank:    among those that run, `auto` takes the highest.
    missing: () -> None where this machine can run it, else what is missing and the command to get
             it. Must be quick and import nothing heavy.
    needs:   what the input must offer for it, in words (`VIEWS`).
    licence: of the method's code and models. commercial: whether `auto` may take it.
    """

    stage: str
    name: str
    target: str
    summary: str
    rank: int
    missing: Callable[[], str | None] = field(default=lambda: None)
    needs: frozenset[str] = frozenset()
    licence: str = "MIT"
    commercial: bool = True
    trainer: str = ""
    argument: object = None

    def load(self):
        """The object behind `target`; IdfError where the machine lacks something."""
        lack = self.missing()
        if lack:
            raise IdfError(f"The {self.stage} backend `{self.name}` cannot run here", lack)
        loaded = _import(self.target)
        return loaded if self.argument is None else loaded(self.argument)

    def load_trainer(self):
        """The function behind `trainer`; None where there is none of its own."""
        return _import(self.trainer) if self.trainer else None


def _import(target: str):
    module, attribute = target.split(":")
    return getattr(importlib.import_module(module), attribute)


_REGISTRY: dict[tuple[str, str], Backend] = {}


def register(backend: Backend) -> None:
    """Adds a backend, or replaces the one of the same stage and name."""
    _REGISTRY[backend.stage, backend.name] = backend


def names(stage: str) -> list[str]:
    """Names of a stage's backends, best first."""
    found = [b for b in _REGISTRY.values() if b.stage == stage]
    return [b.name for b in sorted(found, key=lambda b: -b.rank)]


# What else a stage's names can mean: (name) -> Backend or None.
_RESOLVERS = {"swap": "idf_helpers.swap.names:resolve"}


def find(stage: str, name: str) -> Backend:
    try:
        return _REGISTRY[stage, name]
    except KeyError:
        if stage in _RESOLVERS and (found := _import(_RESOLVERS[stage])(name)):
            return found
        raise IdfError(f"There is no {stage} backend `{name}`", name,
                       f"choose one of: auto, {', '.join(names(stage))}") from None


def choose(stage: str, name: str = "auto", offers: frozenset[str] = frozenset()
           ) -> tuple[Backend, str]:
    """The backend of that name, or for "auto" the best that can run; and one line saying why.

    offers: what the input has, in the words of `Backend.needs`. IdfError where nothing fits.
    """
    if name != "auto":
        backend = find(stage, name)
        lacking = backend.needs - offers
        if lacking:
            fitting = [n for n in names(stage) if find(stage, n).needs <= offers]
            raise IdfError(f"The {stage} backend `{name}` needs {', '.join(sorted(lacking))}",
                           "an input without", f"use one of: {', '.join(fitting)}")
        return backend, f"{name}: asked for"
    passed = []
    for candidate in names(stage):
        backend = find(stage, candidate)
        if not backend.commercial:
            passed.append(f"{candidate} is {backend.licence}")
        elif backend.needs - offers:
            passed.append(f"{candidate} needs {', '.join(sorted(backend.needs - offers))}")
        elif lack := backend.missing():
            passed.append(f"{candidate}: {lack}")
        else:
            why = f"{candidate}: {backend.summary}"
            return backend, why + (f" (passed over: {'; '.join(passed)})" if passed else "")
    raise IdfError(f"No {stage} backend can run here", "; ".join(passed), "see `idf doctor`")


def get(stage: str, name: str):
    """The loaded backend: a class or function of that stage's protocol."""
    return find(stage, name).load()


@dataclass(frozen=True)
class Status:
    """One row of `idf doctor`: missing is "" where the backend runs here."""

    stage: str
    name: str
    summary: str
    licence: str
    missing: str


def available(stage: str) -> list[Status]:
    return [Status(stage, b.name, b.summary, b.licence, b.missing() or "")
            for b in (find(stage, n) for n in names(stage))]


def lacks_module(module: str, command: str) -> Callable[[], str | None]:
    """A `missing` that asks whether a package is installed, without importing it."""
    def missing() -> str | None:
        return None if importlib.util.find_spec(module) else f"{module} is not installed: {command}"
    return missing


def _lacks_modules(**packages: str) -> str | None:
    """module=package for each that must be importable; the first that is not, and its command."""
    lacks = (lacks_module(module, f"pip install {package}")() for module, package in
             packages.items())
    return next(filter(None, lacks), None)


def _lacks_for_swap() -> str | None:
    from .runtime.download import is_present
    lack = _lacks_modules(cv2="opencv-python-headless", numba="numba", PIL="pillow")
    if lack or is_present("face_landmarks"):
        return lack
    return "the face landmark models are not downloaded: idf download face_landmarks"


def _lacks_for_cpu() -> str | None:
    return _lacks_modules(numba="numba", cv2="opencv-python-headless", scipy="scipy")


register(Backend("swap", "uv", "idf_helpers.swap.swappers:UvSwapper",
                 "one face mesh and one texture for all views, consistent between them", 20,
                 _lacks_for_swap, needs=frozenset({VIEWS})))
register(Backend("swap", "mesh", "idf_helpers.swap.swappers:MeshSwapper",
                 "a 2D mesh swap of each picture by itself", 10, _lacks_for_swap))


def _register_neural_swaps() -> None:
    from .swap.neural.onnx_models import MODELS, backend_of

    for model in MODELS.values():
        register(backend_of(model))
    for name, words in (("ghost", "two blocks"), ("ghost_1block", "one block, faster"),
                        ("ghost_3blocks", "three blocks")):
        register(Backend("swap", name, "idf_helpers.swap.neural.ghost:GhostMethod",
                         f"GHOST as published, {words}, each picture by itself", 8,
                         functools.partial(_lacks_ghost, name), commercial=False, argument=name,
                         licence="Apache-2.0; the terms of its training data are not known"))


def _lacks_ghost(name: str) -> str | None:
    from .swap.neural.model_files import lacks_ghost
    return lacks_ghost(name)


_register_neural_swaps()


def _lacks_gsplat() -> str | None:
    from .runtime.cuda import lacks_gsplat
    return lacks_gsplat()


def _lacks_graphdeco() -> str | None:
    from .reconstruct.upstream.graphdeco.upstream import missing
    return missing()


register(Backend("splats", "gsplat", "idf_helpers.reconstruct.splats.gsplat_rasterizer:GsplatRasterizer",
                 "gsplat's kernels and strategies on an NVIDIA GPU", 20, _lacks_gsplat,
                 licence="Apache-2.0", trainer="idf_helpers.reconstruct.splats.gsplat_train:fit_gsplat"))
register(Backend("splats", "graphdeco",
                 "idf_helpers.reconstruct.splats.graphdeco_rasterizer:GraphdecoRasterizer",
                 "the trainer of 3DGS as published, on an NVIDIA GPU", 15, _lacks_graphdeco,
                 licence="for research only (Inria)", commercial=False,
                 trainer="idf_helpers.reconstruct.upstream.graphdeco.train:fit_upstream"))
register(Backend("splats", "reference", "idf_helpers.reconstruct.splats.torch_rasterizer:ReferenceRasterizer",
                 "pure torch, test oracle: for small scenes and pictures only", 0,
                 lacks_module("torch", "pip install torch")))
register(Backend("splats", "cpu", "idf_helpers.reconstruct.splats.rasterizer:CpuRasterizer",
                 "numba kernels on this machine's processor", 10, _lacks_for_cpu))


def _lacks_for_style() -> str | None:
    return _lacks_modules(cv2="opencv-python-headless", numba="numba")


register(Backend("stylise", "preset", "idf_helpers.stylize.stylists.preset:PresetStylist",
                 "looks by name (bronze, marble, red hair …), no model; does not read prompts", 50,
                 _lacks_for_style))

def _lacks_diffusers() -> str | None:
    from .stylize.stylists.models import missing
    return _lacks_for_style() or missing()


register(Backend("stylise", "diffusers",
                 "idf_helpers.stylize.stylists.diffusers_stylist:DiffusersStylist",
                 "Stable Diffusion with ControlNet, or an editor, by diffusers; wants a GPU", 40,
                 _lacks_diffusers, licence="of the model, see `idf download`"))
register(Backend("stylise", "a1111", "idf_helpers.stylize.stylists.a1111:A1111Stylist",
                 "a Stable Diffusion web UI of yours (AUTOMATIC1111, Forge) with --api", 30,
                 _lacks_for_style, licence="of the server's model"))
register(Backend("stylise", "comfyui", "idf_helpers.stylize.stylists.comfyui:ComfyStylist",
                 "a ComfyUI of yours: any workflow in API form", 20,
                 _lacks_for_style, licence="of the server's model"))


def _lacks_nerface() -> str | None:
    from .reconstruct.upstream.nerface.upstream import missing
    return missing()


register(Backend("avatar", "gsplat", "idf_helpers.reconstruct.splats.gsplat_rasterizer:GsplatRasterizer",
                 "Gaussians with an expression basis, drawn by gsplat on an NVIDIA GPU", 20,
                 _lacks_gsplat, licence="Apache-2.0"))
register(Backend("avatar", "cpu", "idf_helpers.reconstruct.splats.rasterizer:CpuRasterizer",
                 "Gaussians with an expression basis, on this machine's processor", 10,
                 _lacks_for_cpu))
register(Backend("avatar", "nerface", "idf_helpers.reconstruct.upstream.nerface.upstream:Upstream",
                 "NeRFace as published, from your clone: days on a GPU", 0, _lacks_nerface,
                 licence="MIT (its data: CC BY-NC-SA)", commercial=False,
                 trainer="idf_helpers.reconstruct.upstream.nerface.run:train_upstream"))


def _lacks_ebsynth() -> str | None:
    from .stylize.propagators.ebsynth_program import lacks_program
    return lacks_program()


register(Backend("stylise", "exemplar", "idf_helpers.stylize.stylists.exemplar:ExemplarStylist",
                 "one view that you painted over, carried to the others; does not read prompts", 40,
                 _lacks_for_style))
register(Backend("propagate", "geometry", "idf_helpers.stylize.propagators.geometry:GeometryPropagator",
                 "colours through the scene's depth, patches where nobody looks", 40,
                 _lacks_for_style, needs=frozenset({SURFACE})))
register(Backend("propagate", "flow", "idf_helpers.stylize.propagators.flow:FlowPropagator",
                 "optical flow of pictures in a row, no depth needed", 30, _lacks_for_style))
register(Backend("propagate", "patchmatch",
                 "idf_helpers.stylize.propagators.patchmatch_propagator:PatchmatchPropagator",
                 "patches of the key views, as EbSynth does it", 20, _lacks_for_style))
register(Backend("propagate", "ebsynth", "idf_helpers.stylize.propagators.ebsynth:EbsynthPropagator",
                 "EbSynth's program, or its window program by folders", 10, _lacks_ebsynth,
                 licence="public domain (its method is patented)"))
register(Backend("nerf", "voxel", "idf_helpers.reconstruct.nerf.run:train_nerf",
                 "a sparse voxel field, numba kernels on this machine's processor", 10,
                 _lacks_for_cpu))
register(Backend("nerf", "vanilla", "idf_helpers.reconstruct.nerf.vanilla.run:train_vanilla",
                 "the NeRF paper's network, with nerf-pytorch's configs and checkpoints; on a CPU "
                 "for small pictures only", 5, lacks_module("torch", "pip install torch")))
