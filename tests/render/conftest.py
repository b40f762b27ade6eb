"""The render script is a developer's tool outside the package: found by its folder."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "render"
if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))
