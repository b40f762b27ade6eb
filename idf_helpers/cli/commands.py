"""The commands of `idf`, in the order of its help.

Each is made from the signature of the function that a Python user calls (see `parser`); the names
here are text, so that the list and its help import nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

_TRAIN = "idf_helpers.reconstruction:reconstruct"
_STYLISTS = "idf_helpers.stylization.methods:STYLISTS"


@dataclass(frozen=True)
class Command:
    """One command.

    name, summary: in the list of `idf --help`. function: "module:function" to call. positional:
    arguments that need no name. show: name of the function in `show` that prints the result;
    "" = it prints by itself. methods: "module:table" of the stage's methods, for a command whose
    flags are those of the method that the flag `choice` names. renamed: flag for an argument whose
    name makes a poor flag. hidden: arguments that no shell can give. flat: argument whose fields
    become flags without a prefix. rewrite: takes spellings of flags that users type.
    """

    name: str
    summary: str
    function: str
    positional: tuple[str, ...] = ()
    show: str = ""
    methods: str = ""
    choice: str = "backend"
    renamed: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    flat: str = "config"
    rewrite: Callable[[list[str]], list[str]] = lambda argv: argv


def _budget(argv: list[str]) -> list[str]:
    """Take `--budget S`, which users type, for the field that carries its unit in its name."""
    return [a.replace("--budget", "--budget-s", 1) if a == "--budget" or a.startswith("--budget=")
            else a for a in argv]


def _make(argv: list[str]) -> list[str]:
    """Take `--kind`, which `--as` was called before, and `--budget`."""
    return _budget([a.replace("--kind", "--as", 1) if a == "--kind" or a.startswith("--kind=")
                    else a for a in argv])


def _up(argv: list[str]) -> list[str]:
    """Take `--up -y`: an axis that begins like a flag."""
    return [f"{a}={argv[i + 1]}" if a == "--up" and argv[i + 1:i + 2] in (["-x"], ["-y"], ["-z"])
            else a for i, a in enumerate(argv) if not (
                i and argv[i - 1] == "--up" and a in ("-x", "-y", "-z"))]


def _loop(argv: list[str]) -> list[str]:
    """Take the flags of the original's scripts."""
    from .original_scripts import loop_flags

    return loop_flags(argv)


def _stylize(argv: list[str]) -> list[str]:
    from .original_scripts import stylize_flags

    return stylize_flags(argv)


def _training(name: str, summary: str, table: str, show: str, function: str = _TRAIN) -> Command:
    return Command(name, summary, function, ("data",), show, rewrite=_budget,
                   methods=f"idf_helpers.reconstruction.methods:{table}")


COMMANDS = {command.name: command for command in (
    Command("demo", "the main job on the bundled head: swap, splats, video, page and model",
            "idf_helpers.cli.demo:demo", show="demo", hidden=("config", "view"),
            flat="amount", rewrite=_budget),
    Command("make", "a photo and a target: all stages that the target needs",
            "idf_helpers.making.make:make", ("photo", "target"), "make", hidden=("view",),
            renamed={"kind": "as"}, rewrite=_make),
    Command("doctor", "what this machine can run, and what is missing",
            "idf_helpers.cli.doctor:doctor"),
    Command("download", "models by name: size, license, source, hash",
            "idf_helpers.cli.download:download"),
    Command("capture", "a video of a turn round a still head becomes a dataset with cameras",
            "idf_helpers.capturing.capture:capture", ("source",), "capture"),
    Command("track", "a video of a talking head becomes a dataset with poses and expressions",
            "idf_helpers.tracking.track:track", ("source",), "track", renamed={"format": "from"}),
    Command("swap", "put the face of a photo into a dataset, a picture or a video",
            "idf_helpers.swapping.swap:swap", ("target",), "swap"),
    _training("splat", "train Gaussian splats on a dataset", "SPLATS", "splats"),
    _training("nerf", "train a radiance field on a dataset", "RADIANCE_FIELDS", "radiance_field"),
    _training("avatar", "train an avatar with movable expressions on a talking head", "AVATARS",
              "avatar", "idf_helpers.cli.avatar:swap_and_train"),
    Command("reenact", "move an avatar by another head's sequence",
            "idf_helpers.exporting.reenact:reenact", ("run",), "written"),
    Command("express", "a picture or model of an avatar at one expression",
            "idf_helpers.cli.results:express", ("run",), "written", renamed={"values": "set"}),
    Command("stylize", "restyle the views of a dataset", "idf_helpers.cli.stylize:stylize",
            ("data",), methods=_STYLISTS, choice="stylist", rewrite=_stylize),
    Command("loop", "restyle, fit splats, render the turn, and again",
            "idf_helpers.cli.stylize:loop", ("main_folder",), rewrite=_loop,
            methods=_STYLISTS, choice="stylist"),
    Command("render", "pictures of a scene from all around, or one turn as a video",
            "idf_helpers.exporting:render", ("model",), "written", rewrite=_up),
    Command("export", "write a scene as model, page, video or picture",
            "idf_helpers.cli.results:export", ("model",), "written", rewrite=_up),
    Command("eval", "measure swaps or restyled views, or scenes on their test views",
            "idf_helpers.evaluation:evaluate", ("runs",), "text"),
    Command("inspect", "what was understood of a dataset, model, video or picture",
            "idf_helpers.inspecting.look:inspect", ("data",), "inspection"),
    Command("verify", "what files, and all files in folders, say about their origin",
            "idf_helpers.cli.verify:verify", ("paths",)),
)}
