"""Splats before and after they were restyled, in one order: any mixture of the two.

    Gaussians(beta) = original + beta (styled - original),   0 = original, 1 = styled

of every parameter, before any activation; beta a little above 1 exaggerates. After the intensity of
Tune-Your-Style (arXiv 2602.00618), whose style is an offset of each Gaussian, times a factor. Such
a pair comes from `refit`, which keeps the number of the Gaussians and their order.
"""

from __future__ import annotations

import numpy as np

from ...errors import IdfError
from ...runtime.settings import check_range
from .gaussians import Gaussians

MOST = 1.5  # beta beyond which colors run out of their range
APART = 0.05  # of the spread of the means: a refit moves them by far less, another scene by more


def check_pair(original: Gaussians, styled: Gaussians) -> None:
    """Raise IdfError unless the two are one scene before and after, Gaussian by Gaussian."""
    if len(original) != len(styled):
        raise IdfError("Original and style do not belong together",
                       f"{len(original)} and {len(styled)} Gaussians",
                       "give splats that were refitted from the original ones")
    if len(styled):
        spread = float(np.linalg.norm(original.means.std(axis=0)))
        moved = float(np.median(np.linalg.norm(styled.means - original.means, axis=1)))
        if not moved <= APART * spread:
            raise IdfError("Original and style are not of one scene",
                           f"half of the Gaussians lie more than {moved:.3g} apart, in a scene "
                           f"{spread:.3g} wide", "give splats that were refitted from the original "
                           "ones, in their order")


def differences(original: Gaussians, styled: Gaussians) -> dict[str, np.ndarray]:
    """Return what has to be added to each array of the original to get the style, by name;
    quaternions in units of the original's, on the same side. IdfError: not a pair."""
    check_pair(original, styled)
    bases = max(original.sh.shape[1], styled.sh.shape[1])
    a, b = original.with_bases(bases).arrays(), styled.with_bases(bases).arrays()
    length = np.linalg.norm(a["quats"], axis=1, keepdims=True)
    turned = b["quats"] * (length / np.linalg.norm(b["quats"], axis=1, keepdims=True))
    side = np.where((turned * a["quats"]).sum(axis=1, keepdims=True) < 0, -1, 1)
    return {name: b[name] - a[name] for name in a} | {"quats": turned * side - a["quats"]}


def mixed(original: Gaussians, styled: Gaussians, intensity: float) -> Gaussians:
    """Return the Gaussians at an intensity in [0, 1.5]. IdfError: another one; not a pair."""
    check_range("intensity", intensity, 0, MOST)
    beta = np.float32(intensity)
    change = differences(original, styled)
    start = original.with_bases(change["sh"].shape[1]).arrays()
    return Gaussians(**{name: start[name] + beta * change[name] for name in start})
