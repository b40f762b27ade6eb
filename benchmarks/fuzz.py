"""Damaged files for every reader of the program: what comes out must be a value or an IdfError.

    python benchmarks/fuzz.py --seed 12345 --cases 100000 [--only WORDS] [--keep FOLDER]

Each reader of `tests/fixtures/fuzzing/table.py` (a row a format) gets small whole files of its
format, damaged case by case: flipped bits, cut ends, other numbers in headers, other shapes, names,
kinds and nesting. A process of its own reads them; a case that takes longer than --seconds, or more
memory than --memory-mb, ends it and counts as a death, like a crash. Case K of a reader is the same
for the same seed, whatever runs beside it. Prints a table; exit code 1 where anything came out but
a value or an IdfError with its three parts.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import zlib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")


@dataclass
class Count:
    """What came of the cases of one reader. slowest: (seconds, case). faults: (case, words)."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    odd: int = 0
    deaths: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    peak_mb: float = 0.0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, words: str, seconds: float) -> None:
        self.cases += 1
        self.accepted += outcome == "accepted"
        self.refused += outcome == "refused"
        self.odd += outcome == "odd"
        self.slowest = max(self.slowest, (seconds, number))
        if outcome == "odd":
            self.faults.append((number, words))


# --- in the child ---------------------------------------------------------------------------------

def one_case(reader, place: Path, whole: Path, seed: int, number: int):
    """Damage one file and read; -> outcome, words, seconds, and the damaged file's content."""
    from idf_helpers.errors import IdfError
    from tests.fixtures.fuzzing.mutate import mutated

    rng = random.Random(f"{seed} {reader.name} {number}")
    files = sorted(p for p in whole.glob(reader.files) if p.is_file())
    chosen = rng.choice(files or [whole / "new"])
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place, symlinks=True)
    target = place / chosen.relative_to(whole)
    if not files:
        data = rng.randbytes(99)
        target.write_bytes(data)
    elif len(files) > 1 and rng.random() < 0.03:
        target.unlink()
        data = b"(removed)"
    else:
        data = mutated(chosen.read_bytes(), chosen.name, rng)
        target.write_bytes(data)
    start = time.perf_counter()
    try:
        reader.read(Path(f"{place}{one_case.read_from}"))
        outcome, words = "accepted", ""
    except IdfError as error:
        parts = all(isinstance(p, str) for p in (error.what, error.found, error.do))
        whole_error = parts and error.what and error.do
        outcome, words = ("refused", "") if whole_error else ("odd", f"parts missing: {error!r}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        last = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(last))
        outcome, words = "odd", f"{type(error).__name__}: {str(error)[:150]} at {where}"
    return outcome, words, time.perf_counter() - start, target.relative_to(place), data


def prepare(reader, folder: Path) -> tuple[Path, Path]:
    """Write the whole example; -> where it is, and where cases are put."""
    whole = folder / "whole"
    whole.mkdir()
    made = str(reader.make(whole))  # an address may go on behind the folder's name: "#time=1"
    assert made.startswith(str(whole))
    one_case.read_from = made.removeprefix(str(whole))
    return folder / "case", whole


def child(connection, seed: int, keep: str | None) -> None:
    """Run the cases [first, last) of readers as asked; send ("begin", number) and ("end", …) for
    each, and ("done",) at the end."""
    from idf_helpers.errors import IdfError
    from tests.fixtures.fuzzing.table import READERS

    sys.stdout = sys.stderr = open(os.devnull, "w")
    while True:
        name, first, last = connection.recv()
        reader = READERS[name]
        with tempfile.TemporaryDirectory(prefix="idf-fuzz-") as folder:
            place, whole = prepare(reader, Path(folder))
            with contextlib.suppress(IdfError):  # of layouts that are refused by name
                reader.read(Path(f"{whole}{one_case.read_from}"))  # compiles, and must not fail
            shutil.rmtree(whole)
            place, whole = prepare(reader, Path(folder))
            forget_peak()
            for number in range(first, last):
                connection.send(("begin", number))
                outcome, words, seconds, file, data = one_case(reader, place, whole, seed, number)
                if outcome == "odd" and keep:
                    target = Path(keep) / f"{name.replace('/', '_')}-{number}-{file.name}"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)
                connection.send(("end", number, outcome, words, seconds, peak_mb()))
        connection.send(("done",))


def forget_peak() -> None:
    """Let the kernel count the most resident memory anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    """Return the most resident memory of this process since `forget_peak`."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except OSError:  # not Linux
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- in the parent --------------------------------------------------------------------------------

class Worker:
    """A process for cases; another one after a death."""

    def __init__(self, options):
        self.options, self.process = options, None

    def run(self, name: str, cases: int) -> Count:
        """Run all cases of one reader."""
        count, at = Count(), 0
        while at < cases:
            if self.process is None:
                context = multiprocessing.get_context("spawn")
                self.connection, there = context.Pipe()
                self.process = context.Process(
                    target=child, args=(there, self.options.seed, self.options.keep), daemon=True)
                self.process.start()
                there.close()
            self.connection.send((name, at, cases))
            at = self._follow(count, at)
        return count

    def _follow(self, count: Count, at: int) -> int:
        """Take what the child says until it is done or dead; -> the next case."""
        options, running, began = self.options, None, time.monotonic()
        while True:
            why = ""
            try:
                said = self.connection.recv() if self.connection.poll(0.5) else ("nothing",)
            except (EOFError, ConnectionError):
                self.process.join()
                said, why = ("nothing",), f"died: exit code {self.process.exitcode}"
            if said[0] == "begin":
                running, began = said[1], time.monotonic()
            elif said[0] == "end":
                _, number, outcome, words, seconds, peak = said
                count.add(number, outcome, words, seconds)
                count.peak_mb = max(count.peak_mb, peak)
                running, at, began = None, number + 1, time.monotonic()
                if peak > options.memory_mb:
                    why, running = f"took {peak:.0f} MB", number
            elif said[0] == "done":
                return at
            elif not why and time.monotonic() - began > (300 if running is None
                                                         else options.seconds):
                why = f"took longer than {options.seconds:g} s"
            elif not why:
                why = self._too_large()
            if why:
                self.process.kill()
                self.process.join()
                self.process = None
                if running is None:
                    raise SystemExit(f"the process of a reader {why} outside of its cases")
                count.deaths += 1
                count.faults.append((running, why))
                count.cases += running >= at
                return max(at, running + 1)

    def _too_large(self) -> str:
        import psutil

        with contextlib.suppress(psutil.Error):
            now = psutil.Process(self.process.pid).memory_info().rss / 2**20
            if now > self.options.memory_mb:
                return f"took {now:.0f} MB"
        return ""


def shares(readers, cases: int) -> dict[str, int]:
    """Return how many cases each reader gets: fewer where one takes longer."""
    weights = {name: 1 / reader.cost for name, reader in readers.items()}
    unit = cases / sum(weights.values())
    return {name: max(1, round(weight * unit)) for name, weight in weights.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=zlib.crc32(os.urandom(8)))
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", default="", help="readers with this in their name")
    parser.add_argument("--keep", help="a folder for the files that something came out of")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--memory-mb", type=float, default=1000)
    options = parser.parse_args()
    from tests.fixtures.fuzzing.table import READERS

    readers = {n: r for n, r in READERS.items() if options.only.lower() in n.lower()}
    total, started = Count(), time.monotonic()
    print(f"seed {options.seed}, {options.cases} cases, {len(readers)} readers\n", flush=True)
    print(f"{'reader':58} {'cases':>7} {'IdfError':>8} {'value':>7} {'other':>6} {'deaths':>6} "
          f"{'slowest s':>9} {'peak MB':>8}")
    worker = Worker(options)
    for name, cases in shares(readers, options.cases).items():
        found = worker.run(name, cases)
        print(_line(name, found), flush=True)
        seen: dict[str, int] = {}
        for number, words in found.faults:
            seen.setdefault(words.split(" at ")[-1] if " at " in words else words, number)
            if len(seen) <= 6 and seen.get(words.split(" at ")[-1] if " at " in words
                                           else words) == number:
                print(f"    case {number}: {words}", flush=True)
        for key in ("cases", "accepted", "refused", "odd", "deaths"):
            setattr(total, key, getattr(total, key) + getattr(found, key))
        total.slowest = max(total.slowest, found.slowest)
        total.peak_mb = max(total.peak_mb, found.peak_mb)
    print(_line(f"all, in {time.monotonic() - started:.0f} s", total))
    return 1 if total.odd or total.deaths else 0


def _line(name: str, c: Count) -> str:
    return (f"{name[:58]:58} {c.cases:7} {c.refused:8} {c.accepted:7} {c.odd:6} {c.deaths:6} "
            f"{c.slowest[0]:9.2f} {c.peak_mb:8.0f}")


if __name__ == "__main__":
    sys.exit(main())
