"""Propagation by EbSynth (Jamriška et al., SIGGRAPH 2019), where it is installed: its program for
the command line, or the one with windows through the folders that it reads and writes.

The first is called once for each frame and neighboring key (EBSYNTH_BIN, or `ebsynth` on the
PATH). For the second, `ebsynth:FOLDER`, keys/ and frames/ are written to the folder; what comes
back in out_<key>/ is cross-faded. More than 20 keys go to several folders in it, 0/, 1/ … Nothing
blocks meanwhile: the stage stops with `Waiting`, and goes on when it is called again.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...data.media import over, read_image, to_uint8, write_image
from ...data.sequence import frame_number
from ...errors import IdfError, shorten
from ..stylist import View, as_float
from ..surface import nearest_fill
from .ebsynth_program import lacks_program, program
from .propagator import Propagator, StyledFrame

TIMEOUT_S = 900.0  # for one frame
# What fits into one project of the window program: TemporalKit, which prepares folders for it,
# splits at 20 (scripts/sd-TemporalKit-UI.py), since it takes no more in.
MOST_KEYS = 20


class Waiting(IdfError):
    """Not an error: the user has something to do in another program first."""


def by_folder(folder: Path):
    """Return the propagator that hands over to the window program through `folder`."""
    return functools.partial(EbsynthPropagator, folder=folder)


class EbsynthPropagator(Propagator):
    """Propagation by EbSynth: its program for the command line, or with `folder` the other one.

    Raises Waiting where out_* in the folder are not complete yet.
    """

    name = "ebsynth"

    def __init__(self, views: Sequence[View], keys: Mapping[int, np.ndarray],
                 folder: Path | None = None):
        super().__init__(views, keys)
        self.folder, self.program = folder, None
        if folder:
            self._hand_over()
            self.finished = self._collect()
        else:
            self.program = program()
            if self.program is None:
                raise IdfError("EbSynth is not installed", lacks_program(),
                               "use the propagator geometry, which needs no other program")

    def frame(self, index: int) -> StyledFrame:
        view = self.views[index]
        if index in self.keys:
            return StyledFrame(self.keys[index])
        before, after, t = self.neighbors(index)
        parts = [(w, self._one(index, k)) for w, k in ((1 - t, before), (t, after)) if w > 0]
        total = sum(w * p for w, p in parts) / sum(w for w, _ in parts)
        return StyledFrame(nearest_fill(total.astype(np.float32), view.mask > 0.5))

    def _one(self, index: int, key: int) -> np.ndarray:
        if self.folder:
            return as_float(over(read_image(self.finished[key, index], "EbSynth frame")))
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
                raise IdfError(f"EbSynth ({self.program}) did not finish", str(error)[:160],
                               "try it by hand, or use the propagator geometry") from None
            if done.returncode or not files["out"].is_file():
                output = (done.stderr or done.stdout).decode(errors="replace").strip()
                raise IdfError(f"EbSynth ({self.program}) failed", output[-160:] or
                               f"exit code {done.returncode}", "try it by hand")
            return as_float(read_image(files["out"], "EbSynth frame"))

    # --- the program with windows -----------------------------------------------------------------

    def _hand_over(self) -> None:
        """Write frames/ and keys/; a closed turn goes on to its first key again."""
        for folder, numbers in self._projects():
            for number in numbers:
                i = number % len(self.views)
                file = folder / "frames" / f"frames{number:05d}.png"
                if not file.is_file():
                    write_image(file, to_uint8(self.views[i].source()))
                if i in self.keys:
                    file = folder / "keys" / f"keys{number:05d}.png"
                    if not file.is_file():
                        write_image(file, to_uint8(self.keys[i]))

    def _projects(self) -> list[tuple[Path, range]]:
        """Return the folders and the numbers of their frames: one, or where there are more than
        MOST_KEYS keys 0, 1 …, which share a key with the one before, so that the two keys of every
        frame between lie in one."""
        count = len(self.views) + (self.index[0] + 1 if self.closed else 0)
        keys = [n for n in range(count) if n % len(self.views) in self.keys]
        if len(keys) <= MOST_KEYS or (self.folder / "keys").is_dir():  # begun as one
            return [(self.folder, range(count))]
        starts = range(0, len(keys) - 1, MOST_KEYS - 1)
        return [(self.folder / str(k), range(
            keys[a] if k else 0,
            keys[a + MOST_KEYS - 1] + 1 if k + 1 < len(starts) else count))
            for k, a in enumerate(starts)]

    def _collect(self) -> dict[tuple[int, int], Path]:
        """Return (key, index) -> file; Waiting where some are missing. IdfError: another size."""
        count, found = len(self.views), {}
        for folder in sorted((*self.folder.glob("out_*"), *self.folder.glob("[0-9]*/out_*"))):
            key = frame_number(folder.name)
            for file in sorted(folder.glob("*.png")):
                number = frame_number(file.stem)
                if key is not None and number is not None:
                    found[key % count, number % count] = file
        wanted = set()
        for i in range(count):
            if i not in self.keys:
                before, after, t = self.neighbors(i)
                wanted |= {(k, i) for w, k in ((1 - t, before), (t, after)) if w > 0}
        lacking = sorted(wanted - set(found))
        if lacking:
            raise Waiting(
                f"Waiting for EbSynth in {self.folder}",
                f"{len(wanted) - len(lacking)} of {len(wanted)} frames there; missing e.g. "
                + shorten(f"frame {i} of out_{k:05d}" for k, i in lacking),
                f"in EbSynth choose keys/ and frames/ of {self._which()}, Run All, then give the "
                "same command again")
        size = self.views[0].size
        wrong = [f for f in (found[w] for w in sorted(wanted)) if
                 read_image(f, "EbSynth frame").shape[1::-1] != size]
        if wrong:
            raise IdfError(f"{len(wrong)} frames of EbSynth have another size than the views",
                           str(wrong[0]), f"expected {size[0]}x{size[1]}")
        return {w: found[w] for w in wanted}

    def _which(self) -> str:
        count = len(self._projects())
        return "that folder" if count == 1 else \
            f"its folders 0 to {count - 1}, one after the other ({MOST_KEYS} keys fit into one)"

