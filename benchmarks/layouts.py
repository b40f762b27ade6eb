"""Which layouts of datasets are read, how near to the truth, and which are refused by name.

    python benchmarks/layouts.py [--markdown] [--only WORDS]

Every row writes a tiny dataset (a ray-traced ball, eight cameras or so) as some program lays it
out, opens it as any command does, and compares each loaded picture with the exact picture of the
camera that was loaded with it, in dB. What is read must come within 1 dB of the best possible (44
dB where no lens is straightened); what is refused must name the program or the fault and a way out.
Anything else is "wrong", and the script fails. Where several instants are shown (marked ∗), a still
model must be refused too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.fixtures.layouts.table import ROWS, judge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="a table for results.md")
    parser.add_argument("--only", default="", help="rows with this in their name")
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    if args.markdown:
        print("| layout | outcome | worst frame, dB | needed |\n|---|---|---|---|")
    for row in ROWS:
        if args.only.lower() not in row.name.lower():
            continue
        with tempfile.TemporaryDirectory() as folder:
            got = judge(row, Path(folder))
        counts[got.outcome] += 1
        name = row.name + ("" if row.still else " ∗")
        numbers = ("–", "–") if got.outcome == "refused" else (f"{got.worst:.1f}",
                                                               f"{got.needed:.1f}")
        outcome = got.outcome if got.outcome != "wrong" else f"WRONG: {got.words}"
        if args.markdown:
            print(f"| {name} | {outcome} | {' | '.join(numbers)} |")
        else:
            print(f"{name:58} {outcome:10} {numbers[0]:>6} {numbers[1]:>6}")
    print(f"\n{sum(counts.values())} layouts: "
          + ", ".join(f"{n} {o}" for o, n in sorted(counts.items())))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
