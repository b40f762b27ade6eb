"""The folder that graphdeco's `train.py` leaves, written for its tools and read from them.

    cfg_args  cameras.json  input.ply  point_cloud/iteration_N/point_cloud.ply
    test/ours_N/{renders,gt}/00000.png …  results.json  per_view.json

(graphdeco-inria/gaussian-splatting: train.py, render.py, metrics.py, scene/__init__.py.) Their
`cfg_args` is Python that they `eval`; here it is parsed, and only constants are taken.
"""

from __future__ import annotations

import ast
import os
import re
import secrets
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ... import provenance
from ...data.cameras import Camera, fitted_size
from ...data.cameras_file import write_cameras
from ...data.dataset import Dataset, Frame
from ...data.media import to_uint8, write_image
from ...errors import IdfError
from ...evaluate import Target, psnr, ssim
from ...runtime.files import write_error, write_json, write_text
from ...scene import WHITE
from .gaussians import SH_C0
from .ply import write_ply
from .scene import GaussianScene

MAX_ARGUMENTS = 64 * 1024  # bytes of cfg_args
MAX_WIDTH = 1600  # to which graphdeco scales wider pictures where -r is not given
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Tree:
    """A model folder. iteration: the newest that it holds. arguments: those of `cfg_args`."""

    root: Path
    iteration: int
    arguments: dict

    @classmethod
    def find(cls, root) -> Tree | None:
        """None where the folder is none; IdfError where its `cfg_args` is damaged."""
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
        """Longer side in pixels of its training pictures, for files of width x height: `-r` is a
        divisor (1, 2, 4, 8), a width in pixels, or -1 = at most 1600 wide."""
        r = self.arguments.get("resolution", -1)
        if isinstance(r, bool) or not isinstance(r, (int, float)) or not -1 <= r <= 65536:
            r = -1
        scale = 1 / r if r in (1, 2, 4, 8) else (r if r > 0 else min(width, MAX_WIDTH)) / width
        return max(1, round(max(width, height) * scale))


def read_arguments(path: Path) -> dict:
    """Name -> constant of a file that holds str(argparse.Namespace); nothing in it is executed."""
    try:
        with open(path, "rb") as f:
            data = f.read(MAX_ARGUMENTS + 1)
        if len(data) > MAX_ARGUMENTS:
            raise ValueError("too long")
        call = ast.parse(data.decode("utf-8").strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                and call.func.id == "Namespace" and not call.args
                and all(k.arg for k in call.keywords)):
            raise ValueError("another expression than Namespace(…)")
        return {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except OSError as error:
        raise IdfError(f"{path} cannot be read", str(error)) from error
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise IdfError(f"{path} is not a list of arguments as graphdeco's train.py writes it",
                       str(error)[:120], "take it from the folder that train.py left, or remove "
                       "the file") from None


# --- writing --------------------------------------------------------------------------------------

def write_tree(out, scene: GaussianScene, what: provenance.Mark, iteration: int, *,
               dataset: Dataset | None = None, resolution: int | None = None, start=None,
               progress: Callable[[int], None] | None = None) -> Path:
    """Writes the folder `out`, whole or not at all; returns it.

    dataset: with it come the renders of its test views, their originals at the training
    resolution, and the metrics (of the 8-bit pictures, as upstream; LPIPS is not measured).
    start: (N, 6) points in world units and RGB in [0, 1] that the training began with; the
    model's own centres where None. IdfError: `out` is not empty.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise IdfError(f"{out} is not an empty folder", "something is there",
                       "choose another --out, or remove it first")
    part = out.with_name(f".{out.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        _write(part, out, scene, what, iteration, dataset, resolution, start, progress)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise write_error(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _write(part, out, scene, what, iteration, dataset, resolution, start, progress) -> None:
    model = part / f"point_cloud/iteration_{iteration}/point_cloud.ply"
    write_ply(scene.gaussians, model)  # degree 3: their load_ply insists on 62 properties
    provenance.mark(model, what)
    if start is None:
        start = np.concatenate([scene.gaussians.means,
                                0.5 + SH_C0 * scene.gaussians.sh[:, 0]], axis=1)
    write_points(part / "input.ply", start)
    frames = [*dataset.test, *dataset.train] if dataset else _nameless(scene.cameras)
    write_cameras(part / "cameras.json", frames)
    width, height = frames[0].camera.width, frames[0].camera.height
    arguments = Namespace(
        sh_degree=3, source_path=str(dataset.root.resolve()) if dataset else "",
        model_path=str(out.resolve()), images="images", depths="",
        resolution=fitted_size(width, height, resolution)[0] if resolution else -1,
        white_background=tuple(scene.background) == WHITE, train_test_exp=False,
        data_device="cuda", eval=True)
    write_text(part / "cfg_args", str(arguments))
    if dataset:
        _write_test_views(part, scene, what, f"ours_{iteration}", dataset, resolution, progress)


def _write_test_views(part, scene, what, method, dataset, resolution, progress) -> None:
    per_view: dict[str, dict[str, float]] = {"SSIM": {}, "PSNR": {}}
    ours = (dataset.root / "run.json").is_file()  # made by us, not photographs: marked too
    for i, frame in enumerate(dataset.test):
        target = Target.of(frame, resolution, scene.background)
        pictures = {"renders": scene.render(target.camera, None, target.background),
                    "gt": target.rgb}
        for name, picture in pictures.items():
            path = part / "test" / method / name / f"{i:05d}.png"
            write_image(path, picture)
            if name == "renders" or ours:
                provenance.mark(path, what if name == "renders" else
                                replace(what, made="test view of the dataset"))
        a, b = (to_uint8(p).astype(np.float32) / 255 for p in pictures.values())
        per_view["SSIM"][f"{i:05d}.png"] = ssim(a, b)
        per_view["PSNR"][f"{i:05d}.png"] = min(psnr(a, b), 100.0)  # equal pictures: JSON knows no ∞
        if progress:
            progress(i + 1)
    mean = {name: float(np.mean(list(values.values()))) for name, values in per_view.items()}
    write_json(part / "results.json", {method: mean})
    write_json(part / "per_view.json", {method: per_view})


def write_points(path: Path, points: np.ndarray) -> None:
    """(N, 6) points with RGB in [0, 1] as graphdeco's coloured point cloud (storePly)."""
    kind = np.dtype([(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz")]
                    + [(n, "u1") for n in ("red", "green", "blue")])
    out = np.zeros(len(points), kind)
    for name, column in zip("xyz", points.T[:3], strict=True):
        out[name] = column
    for name, column in zip(("red", "green", "blue"), points.T[3:], strict=True):
        out[name] = np.rint(255 * np.clip(column, 0, 1))
    words = {"<f4": "float", "|u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(out)}",
              *(f"property {words[kind[n].str]} {n}" for n in kind.names), "end_header", ""]
    path.write_bytes("\n".join(header).encode("ascii") + out.tobytes())


def _nameless(cameras: list[Camera]) -> list[Frame]:
    return [Frame(f"{i:05d}", Path(f"{i:05d}"), c, "train") for i, c in enumerate(cameras)]
