"""Another shape for the face of a clip, without what would be seen as another expression.

In a single picture a wide mouth and a smile can't be told apart for sure. In a clip they can: what
its frames are seen to do more of, once the face has moved or is swapped, is no shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...face import topology
from ...face.fidelity import fit_faces
from ...face.landmarks import FaceLandmarks
from ...face.shape_fit import guessed_lens
from .proportions import moved_by, of_head

PARTS = ("mouth", "jaw")
FRAMES = 12  # of a clip that are enough to look at
ROUNDS = 2  # each leaves about a third of what is seen
LOOKS = 2  # the same, of swapped frames

# motion -> landmarks in the swapped frames, None where none are found
Look = Callable[[np.ndarray], Sequence[FaceLandmarks | None]]


def without_expression(motion: np.ndarray, faces: Sequence[FaceLandmarks], width: int,
                       height: int, look: Look | None = None) -> np.ndarray:
    """Return a motion of the face toward another shape, (468, 3) in the head's axes and widths of
    the face (`proportions.in_head`), less what it changes in the expression of mouth and jaw.

    faces: some of the clip, at least one. width, height: of its frames, pixels. look: gives the
    landmarks that are found in those frames once they are swapped with a motion; so what the
    source's texture is seen to do, a smile's folds, is taken off too.

    With w the weights of the linear face model, fitted to all frames with one shape, before and
    after the motion: D' = D - sum_k median(w'_k - w_k) E_k, some rounds.
    """
    lenses = [guessed_lens(width, height)] * len(faces)
    before = fit_faces(faces, lenses)

    def moved(motion: np.ndarray) -> Sequence[FaceLandmarks | None]:
        return [moved_by(f, of_head(motion, f.points)) for f in faces]

    for after in [moved] * ROUNDS + ([look] * LOOKS if look else []):
        pairs = [(a, b) for a, b in zip(before, fit_faces(after(motion), lenses, before),
                                        strict=True) if a is not None and b is not None]
        if not pairs:
            break
        gained = np.median([b.weight_of(*PARTS) - a.weight_of(*PARTS) for a, b in pairs], axis=0)
        fitter = pairs[0][0].fitter
        cheeks = fitter.neutral[[topology.FACE_LEFT, topology.FACE_RIGHT]]
        motion = motion - np.tensordot(gained, fitter.shapes, 1) / np.linalg.norm(np.subtract(
            *cheeks))
    return motion
