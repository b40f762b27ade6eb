"""`idf avatar`: the swap that may go first."""

from __future__ import annotations

from pathlib import Path

from ..data.dataset import Dataset
from ..errors import IdfError
from ..reconstruction import reconstruct
from ..reconstruction.config import TrainingConfig
from ..reconstruction.sequence_of import as_sequence, is_footage
from ..runtime.progress import Reporter
from ..swapping.dataset import swap_dataset
from ..swapping.job import check_swap


def swap_and_train(data: Dataset | str | Path, out: Path, method: str = "avatar",
                   config: TrainingConfig | None = None, *, swap: Path | None = None,
                   consent: str = "", resume: bool = True, reporter: Reporter | None = None):
    """Train an avatar with movable expressions on a sequence of a talking head.

    Args:
        data: video of a talking head, which is tracked first, into OUT-track; or a NeRFace folder:
            frames with pose and expression, e.g. the output of `idf track`.
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
    if swap is not None and not isinstance(data, Dataset) and is_footage(Path(data)):
        check_swap(swap, consent, Path(data))  # before minutes of tracking, not after
    resolution = config.resolution if config else None
    data = as_sequence(data, out.with_name(out.name + "-track"), resolution, resume=resume,
                       reporter=reporter)
    if swap is not None:
        data = swap_dataset(data, swap, out.with_name(out.name + "-swap"), consent=consent,
                            resume=resume, reporter=reporter)
        reporter.note(f"swapped: {data.describe()}")
    return reconstruct(data, out, method, config, resume=resume, reporter=reporter)
