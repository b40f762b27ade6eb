"""Propagation by EbSynth (Jamriška et al., SIGGRAPH 2019), where it is there: its program for
the command line, or the one with windows by way of the folders that it reads and writes.

The first is called once for each frame and neighboring key (EBSYNTH_BIN, or `ebsynth` on the
PATH). For the second `keys/` and `frames/` are written; what comes back in `out_<key>/` is
cross-faded. Nothing blocks meanwhile: the stage says that it waits, and goes on when it is called
again.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.media import over, read_image, to_uint8, write_image
from ...errors import IdfError, shorten
from ..config import PropagateConfig
from ..stylist import View, as_float
from ..surface import nearest_fill
from .ebsynth_program import lacks_program, program
from .propagator import Propagated, is_closed, neighbors

TIMEOUT_S = 900.0  # for one frame


class Waiting(IdfError):
    """Not a mistake: somebody has something to do in another program first."""


class EbsynthPropagator:
    """See the module. views: in the order of the row. keys: index -> styled (H, W, 3).

    Raises Waiting where `config.ebsynth` names a folder whose out_* are not complete yet.
    """

    name = "ebsynth"

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray],
                 config: PropagateConfig):
        self.views, self.keys = views, {k: as_float(p) for k, p in keys.items()}
        self.index = sorted(keys)
        self.closed = is_closed(views, config.checked().closed)
        self.folder = Path(config.ebsynth) if config.ebsynth else None
        self.program = None
        if self.folder:
            self._hand_over()
            self.made = self._collect()
        else:
            self.program = program()
            if self.program is None:
                raise IdfError("EbSynth is not here", lacks_program(),
                               "use the propagator geometry, which needs no other program")

    def frame(self, index: int) -> Propagated:
        view = self.views[index]
        if index in self.keys:
            return Propagated(self.keys[index])
        before, after, t = neighbors(index, self.index, len(self.views), self.closed)
        parts = [(w, self._one(index, k)) for w, k in ((1 - t, before), (t, after)) if w > 0]
        total = sum(w * p for w, p in parts) / sum(w for w, _ in parts)
        return Propagated(nearest_fill(total.astype(np.float32), view.mask > 0.5))

    def _one(self, index: int, key: int) -> np.ndarray:
        if self.folder:
            return as_float(over(read_image(self.made[key, index], "EbSynth frame")))
        with tempfile.TemporaryDirectory(prefix="idf-ebsynth-") as folder:
            files = {n: Path(folder) / f"{n}.png" for n in ("style", "from", "to", "out")}
            write_image(files["style"], to_uint8(self.keys[key]))
            write_image(files["from"], to_uint8(self.views[key].source()))
            write_image(files["to"], to_uint8(self.views[index].source()))
            try:
                done = subprocess.run(
                    [self.program, "-style", files["style"], "-guide", files["from"], files["to"],
                     "-output", files["out"]], stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=TIMEOUT_S)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise IdfError(f"EbSynth ({self.program}) did not do its work", str(error)[:160],
                               "try it by hand, or use the propagator geometry") from None
            if done.returncode or not files["out"].is_file():
                said = (done.stderr or done.stdout).decode(errors="replace").strip()
                raise IdfError(f"EbSynth ({self.program}) failed", said[-160:] or
                               f"exit code {done.returncode}", "try it by hand")
            return as_float(read_image(files["out"], "EbSynth frame"))

    # --- the program with windows -----------------------------------------------------------------

    @property
    def _row(self) -> list[tuple[int, int]]:
        """(number in the folder, index of the view): a ring goes on to its first key again."""
        row = [(i, i) for i in range(len(self.views))]
        if self.closed:
            row += [(len(self.views) + i, i) for i in range(self.index[0] + 1)]
        return row

    def _hand_over(self) -> None:
        for number, i in self._row:
            file = self.folder / "frames" / f"frames{number:05d}.png"
            if not file.is_file():
                write_image(file, to_uint8(self.views[i].source()))
            if i in self.keys:
                file = self.folder / "keys" / f"keys{number:05d}.png"
                if not file.is_file():
                    write_image(file, to_uint8(self.keys[i]))

    def _collect(self) -> dict[tuple[int, int], Path]:
        """(key, index) -> file; Waiting where some are missing. IdfError: another size."""
        count, found = len(self.views), {}
        for folder in sorted(self.folder.glob("out_*")):
            key = _number(folder.name)
            for file in sorted(folder.glob("*.png")):
                number = _number(file.stem)
                if key is not None and number is not None:
                    found[key % count, number % count] = file
        wanted = set()
        for i in range(count):
            if i not in self.keys:
                before, after, t = neighbors(i, self.index, count, self.closed)
                wanted |= {(k, i) for w, k in ((1 - t, before), (t, after)) if w > 0}
        lacking = sorted(wanted - set(found))
        if lacking:
            raise Waiting(
                f"Waiting for EbSynth in {self.folder}",
                f"{len(wanted) - len(lacking)} of {len(wanted)} frames there; missing e.g. "
                + shorten(f"frame {i} of out_{k:05d}" for k, i in lacking),
                "in EbSynth choose keys/ and frames/ of that folder, Run All, then give the same "
                "command again")
        size = self.views[0].size
        wrong = [f for f in (found[w] for w in sorted(wanted)) if
                 read_image(f, "EbSynth frame").shape[1::-1] != size]
        if wrong:
            raise IdfError(f"{len(wrong)} frames of EbSynth have another size than the views",
                           str(wrong[0]), f"expected {size[0]}x{size[1]}")
        return {w: found[w] for w in wanted}


def _number(name: str) -> int | None:
    digits = re.findall(r"\d+", name)
    return int(digits[-1]) if digits else None
