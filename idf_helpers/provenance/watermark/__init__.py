"""An imperceptible watermark: 32 bits in the brightness of a picture, found again without it.

`embed` writes a payload into a picture or a video frame, `detect` and `detect_frames` read it back
after compression, resizing and cropping, each with the probability that an unmarked picture would
have answered the same. `payload_of` derives the 32 bits from a run. `bake` writes them into the
colors of a splat model, `detect_in_gaussians` and `detect_in_model` read them there.

The mark is a spread-spectrum pattern (Cox et al. 1997) that repeats every 128 pixels, so that a
crop only shifts it (Kutter 1998; Alattar and Meyer 2003, tiles as their own synchronization).
Part of its frequencies is a pilot, which tells scale and place; the rest carries the bits behind a
convolutional code. How strong it is follows what the eye, and SSIM, forgive at each place; what is
exactly flat stays untouched. The embedder knows the picture, so it gives its power to those bits
that the picture itself disturbs (informed embedding; Malvar and Florencio 2003). The key stands in
this public code: the mark says what a file is, it does not prove who made it.
"""

from .detection import Found, detect, detect_frames
from .embedding import embed
from .gaussians import bake, detect_in_gaussians, detect_in_model, moved_along
from .pattern import carriers_text
from .payload import payload_of, payload_text

__all__ = ["Found", "bake", "carriers_text", "detect", "detect_frames", "detect_in_gaussians",
           "detect_in_model", "embed", "moved_along", "payload_of", "payload_text"]
