"""`idf avatar`: the swap that may go first."""

from __future__ import annotations

from pathlib import Path

from ..data.dataset import Dataset
from ..data.inputs import as_dataset
from ..errors import IdfError
from ..reconstruction import reconstruct
from ..reconstruction.config import TrainingConfig
from ..runtime.progress import Reporter
from ..swapping.dataset import swap_dataset


def swap_and_train(data: Dataset | str | Path, out: Path, method: str = "avatar",
                   config: TrainingConfig | None = None, *, swap: Path | None = None,
                   consent: str = "", resume: bool = True, reporter: Reporter | None = None):
    """Train an avatar with movable expressions on a sequence of a talking head.

    Args:
        data: NeRFace folder: frames with pose and expression, e.g. the output of `idf track`.
        out: run folder: avatar.npz, metrics.json, held_out.jpg, expressions.jpg.
        method: see `reconstruct`.
        config: of the method.
        swap: photo whose face is put into every frame first; the swapped sequence goes to
            OUT-swap.
        consent: for --swap: whose faces these are, and that they agreed.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
        reporter: takes word of the progress.
    """
    if swap is None and consent:
        raise IdfError("A consent needs a photo to swap in", consent[:60], "add --swap PHOTO")
    reporter = reporter or Reporter()
    data = as_dataset(data, reporter)
    if swap is not None:
        data = swap_dataset(data, swap, out.with_name(out.name + "-swap"), consent=consent,
                            resume=resume, reporter=reporter)
        reporter.note(f"swapped: {data.describe()}")
    return reconstruct(data, out, method, config, resume=resume, reporter=reporter)
