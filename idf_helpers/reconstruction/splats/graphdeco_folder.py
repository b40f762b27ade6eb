"""The folder that graphdeco's `train.py` leaves, as far as a reader needs to know it.

    cfg_args  cameras.json  input.ply  point_cloud/iteration_N/point_cloud.ply

(graphdeco-inria/gaussian-splatting: train.py, scene/__init__.py.) Their `cfg_args` is Python that
they `eval`; here it is parsed, only constants are taken. `exporting.graphdeco_folder` writes it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import IdfError
from ...runtime.files import readable
from ...scene import WHITE

MAX_ARGUMENTS = 64 * 1024  # bytes of cfg_args
MAX_WIDTH = 1600  # to which graphdeco scales wider pictures where -r is not given
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class GraphdecoFolder:
    """A model folder. iteration: the newest that it holds. arguments: those of `cfg_args`."""

    root: Path
    iteration: int
    arguments: dict

    @classmethod
    def find(cls, root) -> GraphdecoFolder | None:
        """Return the folder; None where it is none; IdfError where its `cfg_args` is damaged."""
        root = Path(root)
        found = [int(m[1]) for p in root.glob("point_cloud/iteration_*/point_cloud.ply")
                 if (m := re.fullmatch(r"iteration_(\d{1,9})", p.parent.name))]
        if not found:
            return None
        file = root / "cfg_args"
        return cls(root, max(found), read_arguments(file) if file.is_file() else {})

    @property
    def model(self) -> Path:
        return self.root / f"point_cloud/iteration_{self.iteration}/point_cloud.ply"

    @property
    def source(self) -> Path | None:
        """The dataset folder it was trained on, as written there."""
        source = self.arguments.get("source_path")
        return Path(source) if isinstance(source, str) and source else None

    @property
    def background(self) -> tuple[float, float, float]:
        """What it was trained over."""
        return WHITE if self.arguments.get("white_background") is True else BLACK

    def resolution(self, width: int, height: int) -> int:
        """Return the longer side in pixels of its training pictures, for files of width x height:
        `-r` is a divisor (1, 2, 4, 8), a width in pixels, or -1 = at most 1600 wide."""
        r = self.arguments.get("resolution", -1)
        if isinstance(r, bool) or not isinstance(r, (int, float)) or not -1 <= r <= 65536:
            r = -1
        scale = 1 / r if r in (1, 2, 4, 8) else (r if r > 0 else min(width, MAX_WIDTH)) / width
        return max(1, round(max(width, height) * scale))


def read_arguments(path: Path) -> dict:
    """Return name -> constant of a file that holds str(argparse.Namespace); nothing in it is
    executed."""
    try:
        with readable(path, "list of arguments"), open(path, "rb") as f:
            data = f.read(MAX_ARGUMENTS + 1)
        if len(data) > MAX_ARGUMENTS:
            raise ValueError("too long")
        call = ast.parse(data.decode("utf-8").strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                and call.func.id == "Namespace" and not call.args
                and all(k.arg for k in call.keywords)):
            raise ValueError("another expression than Namespace(…)")
        return {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise IdfError(f"{path} is not a list of arguments as graphdeco's train.py writes it",
                       str(error)[:120], "take it from the folder that train.py left, or remove "
                       "the file") from None
