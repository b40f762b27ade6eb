"""All methods of all stages, in the order of the data flow: what `idf doctor` shows and help names.

A new method is one more entry in the table of its stage; nothing is to be done here.
"""

from __future__ import annotations

from .reconstruct.methods import AVATARS, RADIANCE_FIELDS, SPLATS
from .runtime.registry import Registry
from .stylize.methods import PROPAGATORS, STYLISTS, SURFACE
from .swap.methods import SWAPPERS, VIEWS

STAGES: dict[str, Registry] = {table.stage: table for table in (
    SWAPPERS, SPLATS, RADIANCE_FIELDS, AVATARS, STYLISTS, PROPAGATORS)}
OFFERS = frozenset({VIEWS, SURFACE})  # what a dataset with a reconstruction has for all of them
