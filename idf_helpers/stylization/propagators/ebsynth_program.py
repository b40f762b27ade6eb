"""Where EbSynth's program for the command line is; a file of its own, because `idf doctor` asks
for it where the packages that the rest needs may be missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def program() -> Path | None:
    """Return EbSynth's program for the command line, or None."""
    named = os.environ.get("EBSYNTH_BIN", "")
    found = named if named and Path(named).is_file() else shutil.which(named or "ebsynth")
    return Path(found) if found else None


def lacks_program() -> str | None:
    """Return None where the program is there, else what is missing."""
    return None if program() else ("no program `ebsynth` on the PATH: set EBSYNTH_BIN to it, or "
                                   "use its window program by --propagator ebsynth:FOLDER")
