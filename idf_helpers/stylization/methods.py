"""The tables of stylists (what paints a key view) and propagators (what carries it to the rest)."""

from __future__ import annotations

from pathlib import Path

from ..errors import IdfError
from ..runtime.download import missing
from ..runtime.registry import Entry, Registry, lacks_modules
from .config import StylizeConfig
from .propagators.ebsynth_program import lacks_program
from .stylists.models import missing as lacks_diffusers
from .stylists.neural_files import NEURAL_STYLE

SURFACE = "the depth of every view"  # what `geometry` needs of a reconstruction

_packages = lacks_modules(cv2="opencv-python-headless", numba="numba")
_onnx = lacks_modules(onnx="onnx", onnxruntime="onnxruntime")

STYLISTS = Registry("stylize", [
    Entry("preset", "idf_helpers.stylization.stylists.preset:PresetStylist",
          "looks by name (bronze, marble, red hair, elf …), no model; does not read prompts", 50,
          _packages, config="idf_helpers.stylization.stylists.preset:PresetConfig"),
    Entry("diffusers", "idf_helpers.stylization.stylists.diffusers_stylist:DiffusersStylist",
          "Stable Diffusion with ControlNet, or an editor, by diffusers; wants a GPU", 40,
          lambda: _packages() or lacks_diffusers(), license="of the model, see `idf download`",
          config="idf_helpers.stylization.stylists.diffusers_stylist:DiffusersConfig"),
    Entry("a1111", "idf_helpers.stylization.stylists.a1111:A1111Stylist",
          "a Stable Diffusion web UI of yours (AUTOMATIC1111, Forge) with --api", 30, _packages,
          license="of the server's model", config="idf_helpers.stylization.config:ServerConfig"),
    Entry("comfyui", "idf_helpers.stylization.stylists.comfyui:ComfyStylist",
          "a ComfyUI of yours: any workflow in API form", 20, _packages,
          license="of the server's model",
          config="idf_helpers.stylization.stylists.comfyui:ComfyConfig"),
    Entry("exemplar", "idf_helpers.stylization.stylists.exemplar:ExemplarStylist",
          "one view that you painted over, carried to the others; does not read prompts", 40,
          _packages, config="idf_helpers.stylization.config:ExemplarConfig"),
    Entry("neural", "idf_helpers.stylization.stylists.neural:NeuralStylist",
          "in the manner of a painting or photo, by small networks; does not read prompts", 45,
          lambda: _packages() or _onnx() or missing(NEURAL_STYLE), license="MIT; "
          "networks Apache-2.0", config="idf_helpers.stylization.config:NeuralConfig"),
], automatic=False)


def open_stylist(name: str, config: StylizeConfig | None = None):
    """Return the stylist of that name with its settings, the defaults for None.

    IdfError: no name (none is chosen for the user) or an unknown one, something missing for it,
    another stylist's settings, a prompt that it needs and lacks.
    """
    kind = STYLISTS.choose(name)[0].load()
    config = kind.config_type() if config is None else config
    if not isinstance(config, kind.config_type):
        raise IdfError(f"The stylist `{name}` takes other settings", type(config).__name__,
                       f"give a {kind.config_type.__name__}")
    if kind.reads_prompt and not config.prompt.strip():
        raise IdfError(f"The stylist `{name}` needs a prompt", "an empty prompt",
                       'give --prompt, e.g. "a bronze bust"')
    return kind(config)


def _by_folder(name: str) -> Entry | None:
    """Return the entry of `ebsynth:FOLDER`, which needs no program here; None for other names."""
    if not name.startswith("ebsynth:"):
        return None
    return Entry(name, "idf_helpers.stylization.propagators.ebsynth:by_folder",
                 "EbSynth's window program, by its folders", 0,
                 argument=Path(name.removeprefix("ebsynth:")).expanduser())


PROPAGATORS = Registry("propagate", [
    Entry("geometry", "idf_helpers.stylization.propagators.geometry:GeometryPropagator",
          "colors through the scene's depth, patches where no key view looks", 40, _packages,
          needs=frozenset({SURFACE})),
    Entry("flow", "idf_helpers.stylization.propagators.flow:FlowPropagator",
          "optical flow of successive pictures, no depth needed", 30, _packages),
    Entry("patchmatch",
          "idf_helpers.stylization.propagators.patchmatch_propagator:PatchmatchPropagator",
          "patches of the key views, as EbSynth does it", 20, _packages),
    Entry("ebsynth", "idf_helpers.stylization.propagators.ebsynth:EbsynthPropagator",
          "EbSynth's program, or with ebsynth:FOLDER its window program", 10, lacks_program,
          license="public domain (its method is patented)"),
], _by_folder)
