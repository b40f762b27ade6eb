"""nerf-pytorch's options: their names and defaults, and its config text files.

The files are ConfigArgParse's: `name = value` on a line (also `name: value`, `name value`), a bare
name or `True` for a switch, comments behind # or ;.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

from ....errors import IdfError, shorten
from ....runtime.settings import check_ranges

MAX_BYTES = 1 << 20
LINE = re.compile(r"^(?:--)?(?P<name>[^:=;#\s]+)\s*(?:[:=\s]\s*(?P<value>[^#;]*?))?\s*([#;].*)?$")
SWITCH = {"true": True, "yes": True, "on": True, "1": True,
          "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class NerfOptions:
    """Options of nerf-pytorch's run_nerf.py (config_parser, commit 63a5a63), defaults as there.

    Lengths are in the dataset's units. Those of other dataset types and of its logging are read,
    so that a file is accepted as it is, and have no effect here: basedir, datadir, shape, factor,
    spherify, llffhold, no_reload, render_only, render_test, i_print, i_img, i_weights, i_testset,
    i_video.
    """

    expname: str = "nerf"
    """Name at the start of the videos."""
    basedir: str = "./logs/"
    datadir: str = "./data/llff/fern"
    netdepth: int = 8
    """Layers of the coarse network, 1 or more."""
    netwidth: int = 256
    """Channels of its layers, 2 or more."""
    netdepth_fine: int = 8
    netwidth_fine: int = 256
    N_rand: int = 32 * 32 * 4
    """Random rays of a step."""
    lrate: float = 5e-4
    """Adam's learning rate at the start."""
    lrate_decay: int = 250
    """The rate falls to a tenth in this many thousand steps."""
    chunk: int = 1024 * 32
    """Rays that are rendered at a time; smaller where memory runs out."""
    netchunk: int = 1024 * 64
    """Points that pass the network at a time."""
    no_batching: bool = False
    """Rays of a step from one random picture instead of all."""
    no_reload: bool = False
    ft_path: str = ""
    """Checkpoint (.tar) to start from."""
    N_samples: int = 64
    """Coarse samples of a ray."""
    N_importance: int = 0
    """Further, fine samples; 0 leaves out the fine network."""
    perturb: float = 1.0
    """0: no jitter of the samples while training."""
    use_viewdirs: bool = False
    """Color depends on the viewing direction."""
    i_embed: int = 0
    """0: positional encoding, -1: none."""
    multires: int = 10
    """Frequencies of a position's encoding."""
    multires_views: int = 4
    """Frequencies of a direction's encoding."""
    raw_noise_std: float = 0.0
    """Standard deviation of the noise on the raw density while training."""
    render_only: bool = False
    render_test: bool = False
    render_factor: int = 0
    """The test set and the video are rendered at 1/factor of the size; 0: at full size."""
    precrop_iters: int = 0
    """First steps with rays of the pictures' middle only (with no_batching)."""
    precrop_frac: float = 0.5
    """Its share of width and height, in (0, 1]."""
    dataset_type: str = "llff"
    testskip: int = 8
    """Every N-th picture of the test set is rendered; 0 and 1: all."""
    shape: str = "greek"
    white_bkgd: bool = False
    """Transparent pictures lie over white; else over black, as their colors are stored."""
    half_res: bool = False
    """Train at half the pictures' size."""
    factor: int = 8
    no_ndc: bool = False
    lindisp: bool = False
    """Coarse samples evenly in 1/depth."""
    spherify: bool = False
    llffhold: int = 8
    i_print: int = 100
    i_img: int = 500
    i_weights: int = 10000
    i_testset: int = 50000
    i_video: int = 50000

    def checked(self) -> NerfOptions:
        """Self, or IdfError naming the first option that is out of range."""
        ranges = {
            "netdepth": (1, 64), "netwidth": (2, 8192), "netdepth_fine": (1, 64),
            "netwidth_fine": (2, 8192), "N_rand": (1, 10**7), "lrate": (1e-9, 10),
            "lrate_decay": (1, 10**6), "chunk": (1, 10**8), "netchunk": (1, 10**9),
            "N_samples": (2, 4096), "N_importance": (0, 4096), "perturb": (0, 1e3),
            "i_embed": (-1, 0), "multires": (1, 24), "multires_views": (1, 24),
            "raw_noise_std": (0, 1e3), "render_factor": (0, 64), "precrop_iters": (0, 10**9),
            "precrop_frac": (1e-3, 1.0), "testskip": (0, 10**6),
        }
        check_ranges(self, ranges)
        if self.dataset_type not in ("blender", "llff", "LINEMOD", "deepvoxels"):
            raise IdfError("There is no such `dataset_type`", self.dataset_type,
                           "one of: blender, llff, LINEMOD, deepvoxels")
        return self

    @property
    def ndc(self) -> bool:
        """Whether nerf-pytorch would bend rays into normalized device coordinates."""
        return self.dataset_type == "llff" and not self.no_ndc

    def text(self) -> str:
        """As nerf-pytorch's args.txt has them."""
        return "".join(f"{f.name} = {getattr(self, f.name)}\n"
                       for f in sorted(fields(self), key=lambda f: f.name))


PAPER = NerfOptions(  # configs/lego.txt without its half size
    dataset_type="blender", no_batching=True, use_viewdirs=True, white_bkgd=True, lrate_decay=500,
    N_samples=64, N_importance=128, N_rand=1024, precrop_iters=500, precrop_frac=0.5)


def read_options(path) -> NerfOptions:
    """The options of a config text file. IdfError: missing, not text, unknown or repeated names
    (all of the unknown ones are named), values of another kind."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise IdfError(f"The config {path} is too large for a text file of options",
                           f"{path.stat().st_size} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise IdfError(f"The config {path} is not UTF-8 text") from None
    except OSError as error:
        raise IdfError(f"The config {path} cannot be read", error.strerror or str(error),
                       "name a text file as in nerf-pytorch's configs/") from None
    kinds = {f.name: type(f.default) for f in fields(NerfOptions)}
    values, unknown = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;[" or line.startswith("---"):
            continue
        found = LINE.match(line)
        if not found:
            raise IdfError(f"Line {number} of the config {path} is not `name = value`", line[:60])
        name, value = found["name"], (found["value"] or "").strip().strip("\"'")
        if name in ("config", *values):
            if name in values:
                raise IdfError(f"The config {path} names `{name}` twice", line[:60])
        elif name not in kinds:
            unknown.append(name)
        else:
            values[name] = _value(path, name, kinds[name], value)
    if unknown:
        raise IdfError(f"The config {path} has options that nerf-pytorch does not know",
                       shorten(unknown, 8), "remove them, or correct their names: "
                       + ", ".join(_similar(n, kinds) for n in unknown[:4]))
    return NerfOptions(**values).checked()


def _similar(name: str, known) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"{name} -> {near[0]}" if near else name


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
                       repr(text)[:60]) from None
