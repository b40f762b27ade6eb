"""Command lines of the authors' scripts (quereste/deepfake-for-the-good, diffusion/*.py), brought
to those of `idf loop` and `idf stylize`.

What a flag does elsewhere here is said in one line; none is taken and then not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import IdfError

NO_BORDER = "batches need no overlap here: every view is made from the keys on both sides of it"
# Of `idf stylize`: flags of the scripts whose work is done by another flag or verb.
ELSEWHERE = {
    "main_folder": "name the dataset first: idf stylize MAIN_FOLDER; `idf loop` repeats it",
    "video_path": "give a dataset: idf stylize DATA; for iterN.mp4 of the loop: "
                  "idf loop --video_path … --target_folder … --prompt …",
    "batch_size": "give --keys N, the number of batches; `idf loop` takes --batch_size",
    "ebsynth_mode": "give --propagator ebsynth:FOLDER, or leave it out",
    "max_frames": "use `idf loop` with --max_frames, or a dataset of fewer views",
    "max_frames_to_save": "use `idf loop` with --max_frames, or a dataset of fewer views",
    "fps": "no video is written here: use `idf loop` with --fps",
    "start": "use `idf loop` with --start", "end": "use `idf loop` with --end"}


def loop_flags(argv: list[str]) -> list[str]:
    """Return a command line of `idf loop` with those of loop.py, automate_process.py and the
    scripts that it calls brought to one.

    `--main_folder X` becomes the argument X (its script has a flag, its README an argument), a
    second argument `--prompt`, `--resolution` the stylist's `--size`, `--sides 4` `--mode 4x4`,
    `--video_path MAIN/iterN.mp4 --target_folder MAIN/iterN+1` MAIN from N to N + 1.
    `--border_frames`, TemporalKit's overlap of batches, is said to have no effect.
    """
    rest: list[str] = []
    folder, given = [], dict[str, str]()
    for word, name, value in _flags(argv, ("main_folder", "border_frames", "sides", "video_path",
                                           "target_folder", "max_frames_to_save", "server")):
        if name == "main_folder":
            folder = [value]
        elif name == "border_frames":
            print(f"  note: --border_frames {value} has no effect: {NO_BORDER}")
        elif name == "sides":
            rest += ["--mode", f"{value}x{value}"]
        elif name == "server":
            rest += ["--server", _address(value)]
        elif name:
            given[name] = value
        elif word.partition("=")[0] == "--resolution":
            rest.append(word.replace("--resolution", "--size", 1))
        else:
            rest.append(word)
    if saved := given.pop("max_frames_to_save", ""):
        if _has(rest, "max_frames"):
            print(f"  note: --max_frames_to_save {saved} has no effect beside --max_frames")
        elif saved.lower() != "none":
            rest += ["--max_frames", saved]
    if given:
        if folder:
            raise IdfError("Both the main folder and one iteration are given",
                           f"--main_folder and --{next(iter(given))}", "give one of them")
        main, n = _iteration(given.get("video_path", ""), given.get("target_folder", ""))
        folder = [str(main)]
        rest += [] if _has(rest, "start") else ["--start", str(n)]
        rest += [] if _has(rest, "end") else ["--end", str(n + 1)]
    argv = [*folder, *rest]
    if len(argv) > 1 and not argv[0].startswith("-") and not argv[1].startswith("-"):
        if _has(argv, "prompt"):
            raise IdfError("The prompt is given twice", f"{argv[1]!r} and --prompt", "give it once")
        argv[1:1] = ["--prompt"]
    return argv


def stylize_flags(argv: list[str]) -> list[str]:
    """Return a command line of `idf stylize` with the scripts' flags brought to its own:
    `--target_folder` is `--out`, `--output_resolution` `--resolution`, `--sides 4` `--mode 4x4`.
    IdfError, with what to give, for those whose work is done elsewhere."""
    out: list[str] = []
    ours = ("target_folder", "output_resolution", "sides", "border_frames", "server", *ELSEWHERE)
    for word, name, value in _flags(argv, ours):
        if name in ELSEWHERE:
            raise IdfError(f"--{name} is a flag of the original scripts, not of idf stylize", word,
                           ELSEWHERE[name])
        if name == "border_frames":
            print(f"  note: --border_frames {value} has no effect: {NO_BORDER}")
        elif name == "sides":
            out += ["--mode", f"{value}x{value}"]
        elif name == "server":
            out += ["--server", _address(value)]
        elif name:
            out += [{"target_folder": "--out", "output_resolution": "--resolution"}[name], value]
        else:
            out.append(word)
    return out


def _flags(argv: list[str], names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield (word, name, value): a flag of `names` with its value, any other word with name ""."""
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        if name in names:
            given = value if equals else next(words, None)
            if given is None:
                raise IdfError(f"{word} has no value", "the end of the command line",
                               "give one, or leave it out")
            yield word, name, given
        else:
            yield word, "", ""


def _has(argv: list[str], name: str) -> bool:
    return any(w.partition("=")[0][2:].replace("-", "_") == name for w in argv)


def _address(server: str) -> str:
    """Return a server's address; the scripts give it without http://."""
    return server if not server or "://" in server else f"http://{server}"


def _iteration(video: str, target: str) -> tuple[Path, int]:
    """Return the main folder and the number of the video that automate_process.py starts from."""
    film, folder = Path(video or "."), Path(target or ".")
    if video and target and film.parent.resolve() != folder.parent.resolve():
        raise IdfError("The video does not lie beside the target folder",
                       f"{film} and {folder}", f"move it to {folder.parent}, where the cameras "
                       "are (transforms_train_main.json)")
    main = folder.parent if target else film.parent
    started = re.fullmatch(r"iter(\d{1,5})\.mp4", film.name)
    made = re.fullmatch(r"iter(\d{1,5})", folder.name)
    if video and not started:
        raise IdfError(f"The video {film} is not named as one of the loop", film.name,
                       f"copy it to {main / 'iter0.mp4'}, then idf loop {main} --prompt …")
    if not video and not (made and int(made[1])):
        raise IdfError(f"The target folder {folder} is not named as one of the loop", folder.name,
                       f"name it iter1, or give the folder above: idf loop {main} --prompt …")
    n = int(started[1]) if started else int(made[1]) - 1  # type: ignore[index]
    if target and folder.name != f"iter{n + 1}":
        print(f"  note: what belongs into {folder} is written to {main / f'iter{n + 1}'}")
    return main, n
