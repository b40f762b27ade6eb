"""nerf-pytorch's options: their names and defaults, and its config text files.

The files are ConfigArgParse's: `name = value` on a line (also `name: value`, `name value`), a bare
name or `True` for a switch, comments behind # or ;.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ....errors import IdfError, nearest, shorten
from ....runtime.files import readable
from ....runtime.settings import Annotated, Interval, Settings

MAX_BYTES = 1 << 20
LINE = re.compile(r"^(?:--)?(?P<name>[^:=;#\s]+)\s*(?:[:=\s]\s*(?P<value>[^#;]*?))?\s*([#;].*)?$")
SWITCH = {"true": True, "yes": True, "on": True, "1": True,
          "false": False, "no": False, "off": False, "0": False}


# Options of other dataset types and of its logging, with the kind of their values: read, so that a
# file is accepted as it is, and without effect here.
IGNORED = {"basedir": str, "datadir": str, "no_reload": bool, "render_only": bool,
           "render_test": bool, "shape": str, "factor": int, "spherify": bool, "llffhold": int,
           "i_print": int, "i_img": int, "i_weights": int, "i_testset": int, "i_video": int}

LAYERS, CHANNELS = Interval(ge=1, le=64), Interval(ge=2, le=8192)
FREQUENCIES = Interval(ge=1, le=24)


@dataclass(frozen=True)
class NerfOptions(Settings):
    """Options of nerf-pytorch's run_nerf.py (config_parser, commit 63a5a63) that have an effect
    here, defaults as there. Lengths are in the dataset's units."""

    expname: str = "nerf"
    """Name at the start of the videos."""
    netdepth: Annotated[int, LAYERS] = 8
    """Layers of the coarse network."""
    netwidth: Annotated[int, CHANNELS] = 256
    """Channels of its layers."""
    netdepth_fine: Annotated[int, LAYERS] = 8
    netwidth_fine: Annotated[int, CHANNELS] = 256
    N_rand: Annotated[int, Interval(ge=1, le=10**7)] = 32 * 32 * 4
    """Random rays of a step."""
    lrate: Annotated[float, Interval(ge=1e-9, le=10)] = 5e-4
    """Adam's learning rate at the start."""
    lrate_decay: Annotated[int, Interval(ge=1, le=10**6)] = 250
    """The rate falls to a tenth in this many thousand steps."""
    chunk: Annotated[int, Interval(ge=1, le=10**8)] = 1024 * 32
    """Rays that are rendered at a time; smaller where memory runs out."""
    netchunk: Annotated[int, Interval(ge=1, le=10**9)] = 1024 * 64
    """Points that pass the network at a time."""
    no_batching: bool = False
    """Rays of a step from one random picture instead of all."""
    ft_path: str = ""
    """Checkpoint (.tar) to start from."""
    N_samples: Annotated[int, Interval(ge=2, le=4096)] = 64
    """Coarse samples of a ray."""
    N_importance: Annotated[int, Interval(ge=0, le=4096)] = 0
    """Further, fine samples; 0 leaves out the fine network."""
    perturb: Annotated[float, Interval(ge=0, le=1e3)] = 1.0
    """0: no jitter of the samples while training."""
    use_viewdirs: bool = False
    """Color depends on the viewing direction."""
    i_embed: Annotated[int, Interval(ge=-1, le=0)] = 0
    """0: positional encoding, -1: none."""
    multires: Annotated[int, FREQUENCIES] = 10
    """Frequencies of a position's encoding."""
    multires_views: Annotated[int, FREQUENCIES] = 4
    """Frequencies of a direction's encoding."""
    raw_noise_std: Annotated[float, Interval(ge=0, le=1e3)] = 0.0
    """Standard deviation of the noise on the raw density while training."""
    render_factor: Annotated[int, Interval(ge=0, le=64)] = 0
    """The test set and the video are rendered at 1/factor of the size; 0: at full size."""
    precrop_iters: Annotated[int, Interval(ge=0, le=10**9)] = 0
    """First steps with rays of the pictures' middle only (with no_batching)."""
    precrop_frac: Annotated[float, Interval(ge=1e-3, le=1)] = 0.5
    """Its share of width and height."""
    dataset_type: Literal["blender", "llff", "LINEMOD", "deepvoxels"] = "llff"
    testskip: Annotated[int, Interval(ge=0, le=10**6)] = 8
    """Every N-th picture of the test set is rendered; 0 and 1: all."""
    white_bkgd: bool = False
    """Transparent pictures lie over white; else over black, as their colors are stored."""
    half_res: bool = False
    """Train at half the pictures' size."""
    no_ndc: bool = False
    lindisp: bool = False
    """Coarse samples evenly in 1/depth."""

    @property
    def ndc(self) -> bool:
        """Whether nerf-pytorch would bend rays into normalized device coordinates."""
        return self.dataset_type == "llff" and not self.no_ndc

    def text(self) -> str:
        """Return the options as nerf-pytorch's args.txt has them."""
        return "".join(f"{f.name} = {getattr(self, f.name)}\n"
                       for f in sorted(fields(self), key=lambda f: f.name))


PAPER = NerfOptions(  # configs/lego.txt without its half size
    dataset_type="blender", no_batching=True, use_viewdirs=True, white_bkgd=True, lrate_decay=500,
    N_samples=64, N_importance=128, N_rand=1024, precrop_iters=500, precrop_frac=0.5)


def read_options(path) -> tuple[NerfOptions, list[str]]:
    """Return the options of a config text file, and a note on those that have no effect here.

    IdfError: missing, not text, unknown or repeated names (all of the unknown ones are named),
    values of another kind."""
    path = Path(path)
    with readable(path, "config"):
        if path.stat().st_size > MAX_BYTES:
            raise IdfError(f"The config {path} is too large for a text file of options",
                           f"{path.stat().st_size} bytes",
                           "name a text file as in nerf-pytorch's configs/")
        text = path.read_bytes().decode("utf-8-sig")
    kinds = {f.name: type(f.default) for f in fields(NerfOptions)} | IGNORED
    values, unknown = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;[" or line.startswith("---"):
            continue
        found = LINE.match(line)
        if not found:
            raise IdfError(f"Line {number} of the config {path} is not `name = value`", line[:60],
                           "correct or remove the line")
        name, value = found["name"], (found["value"] or "").strip().strip("\"'")
        if name in ("config", *values):
            if name in values:
                raise IdfError(f"The config {path} names `{name}` twice", line[:60],
                               "remove one of the two lines")
        elif name not in kinds:
            unknown.append(name)
        else:
            values[name] = _value(path, name, kinds[name], value)
    if unknown:
        raise IdfError(f"The config {path} has options that nerf-pytorch does not know",
                       shorten(unknown, 8), "remove them, or correct their names"
                       + "".join(nearest(n, kinds) for n in unknown[:4]))
    passed = [name for name in values if name in IGNORED]
    options = NerfOptions(**{k: v for k, v in values.items() if k not in IGNORED}).checked()
    return options, [f"of {path.name} without effect here: {', '.join(passed)}"] if passed else []


def _value(path: Path, name: str, kind: type, text: str):
    try:
        if kind is bool:
            return True if not text else SWITCH[text.lower()]
        if kind is str:
            return "" if text == "None" else text
        return kind(text)
    except (ValueError, KeyError):
        wanted = {bool: "True or False", int: "a whole number", float: "a number"}[kind]
        raise IdfError(f"The option `{name}` of the config {path} is not {wanted}",
                       repr(text)[:60], "correct the value") from None
