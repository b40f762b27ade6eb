"""All methods of all stages and all downloads, in the order of the data flow.

What `idf doctor` shows and `idf download` fetches. A new method is one more entry in the table of
its stage; nothing changes here.
"""

from __future__ import annotations

from .capturing.methods import CAPTURES
from .errors import IdfError, nearest
from .face.downloads import FACE_LANDMARKS, IDENTITY, PERSON_MASK
from .lpips_weights import LPIPS
from .reconstruction.methods import AVATARS, RADIANCE_FIELDS, SPLATS
from .runtime.pins import ModelFile
from .runtime.registry import Registry
from .stylization.methods import PROPAGATORS, STYLISTS, SURFACE
from .stylization.stylists.models import HUB_MODELS, HubModel
from .stylization.stylists.neural_files import NEURAL_STYLE
from .swapping.methods import SWAPPERS, VIEWS
from .swapping.neural.model_files import SWAP_FILES

STAGES: dict[str, Registry] = {table.stage: table for table in (
    CAPTURES, SWAPPERS, SPLATS, RADIANCE_FIELDS, AVATARS, STYLISTS, PROPAGATORS)}
OFFERS = frozenset({VIEWS, SURFACE})  # what a dataset with a reconstruction has for all of them

DOWNLOADS: dict[str, ModelFile] = {
    **{m.name: m for m in (FACE_LANDMARKS, PERSON_MASK, IDENTITY, LPIPS, NEURAL_STYLE)},
    **SWAP_FILES}


def find_download(name: str) -> ModelFile | HubModel:
    """Return the download of that name; IdfError with the nearest name where there is none."""
    known = DOWNLOADS | HUB_MODELS
    if name not in known:
        raise IdfError(f"There is no download `{name}`", name + nearest(name, known),
                       "`idf download` without a name lists them")
    return known[name]
