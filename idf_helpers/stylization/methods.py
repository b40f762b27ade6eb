"""The tables of stylists (what paints a key view) and propagators (what carries it to the rest)."""

from __future__ import annotations

from ..runtime.registry import Entry, Registry, lacks_modules
from .propagators.ebsynth_program import lacks_program
from .stylists.models import missing as lacks_diffusers

SURFACE = "the depth of every view"  # what `geometry` needs of a reconstruction

_packages = lacks_modules(cv2="opencv-python-headless", numba="numba")

STYLISTS = Registry("stylize", [
    Entry("preset", "idf_helpers.stylization.stylists.preset:PresetStylist",
          "looks by name (bronze, marble, red hair …), no model; does not read prompts", 50,
          _packages),
    Entry("diffusers", "idf_helpers.stylization.stylists.diffusers_stylist:DiffusersStylist",
          "Stable Diffusion with ControlNet, or an editor, by diffusers; wants a GPU", 40,
          lambda: _packages() or lacks_diffusers(), license="of the model, see `idf download`"),
    Entry("a1111", "idf_helpers.stylization.stylists.a1111:A1111Stylist",
          "a Stable Diffusion web UI of yours (AUTOMATIC1111, Forge) with --api", 30, _packages,
          license="of the server's model"),
    Entry("comfyui", "idf_helpers.stylization.stylists.comfyui:ComfyStylist",
          "a ComfyUI of yours: any workflow in API form", 20, _packages,
          license="of the server's model"),
    Entry("exemplar", "idf_helpers.stylization.stylists.exemplar:ExemplarStylist",
          "one view that you painted over, carried to the others; does not read prompts", 40,
          _packages),
], automatic=False)

PROPAGATORS = Registry("propagate", [
    Entry("geometry", "idf_helpers.stylization.propagators.geometry:GeometryPropagator",
          "colors through the scene's depth, patches where nobody looks", 40, _packages,
          needs=frozenset({SURFACE})),
    Entry("flow", "idf_helpers.stylization.propagators.flow:FlowPropagator",
          "optical flow of pictures in a row, no depth needed", 30, _packages),
    Entry("patchmatch",
          "idf_helpers.stylization.propagators.patchmatch_propagator:PatchmatchPropagator",
          "patches of the key views, as EbSynth does it", 20, _packages),
    Entry("ebsynth", "idf_helpers.stylization.propagators.ebsynth:EbsynthPropagator",
          "EbSynth's program, or its window program by folders", 10, lacks_program,
          license="public domain (its method is patented)"),
])
