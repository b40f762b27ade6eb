"""The report of `make`: what the target was taken for, what was done, what to doubt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data.media import write_image
from ..errors import IdfError, shorten
from ..runtime.files import read_json, read_record, write_bytes, write_json
from ..runtime.runs import same_inputs
from .doubts import Clip, Doubt, doubts, notes
from .probe import Look
from .target import NAMES

JSON, TEXT, SHEET = "make_report.json", "report.md", "look.jpg"
STAGES = ("capture", "track", "swap", "splats", "avatar", "view")
DIFFERENT = {"photo_sha256": "another photo", "target": "another target"}


class Report:
    """Keeps make_report.json up to date, and writes report.md in the end.

    kind: of the target. stages: those that it needs, in their order. look: what footage was taken
    for, by this call or an earlier one. doubts: filled by `finish`.
    """

    def __init__(self, out: Path, asked: dict, photo: str, target: str, earlier: dict | None):
        self.out, self.asked, self.photo, self.target = out, asked, photo, target
        self.stages: Sequence[str] = ()
        self.kind = ""
        self.doubts: tuple[str, ...] = ()
        self.look = Look.read(earlier["look"]) if earlier and earlier.get("look") else None
        self.clip = Clip()
        self._sheet: np.ndarray | None = None
        self._new = earlier is None and not (out.is_dir() and any(out.iterdir()))
        self._entered = 0
        self._finished = bool(earlier) and earlier.get("status") == "finished"

    @classmethod
    def begin(cls, out: Path, asked: dict, photo: str, target: str, told: str) -> Report:
        """Read what an earlier call left. asked: what identifies the call, plain values. told: the
        kind that the user names, or "auto".

        IdfError: the folder holds other files, or the result of another photo or target.
        """
        if not (out / JSON).is_file():
            there = [p.name for p in sorted(out.iterdir())] if out.is_dir() else []
            if foreign := [n for n in there if n not in STAGES and not n.startswith(".")]:
                raise IdfError(f"The output folder {out} is in use", shorten(foreign),
                               "choose a new or empty folder with --out")
            return cls(out, asked, photo, target, None)
        earlier = read_record(out / JSON, ("asked",), "report of make")
        there = earlier["asked"] if isinstance(earlier["asked"], dict) else {}
        changed = [words for key, words in DIFFERENT.items()
                   if not same_inputs(there.get(key), asked[key])]
        if told not in ("auto", earlier.get("kind")):
            changed.append(f"--as {earlier.get('kind')}")
        if changed:
            raise IdfError(f"The output folder {out} holds the result of {' and '.join(changed)}",
                           f"{earlier.get('photo')} into {earlier.get('target')}",
                           "choose another --out, or delete that folder")
        return cls(out, asked, photo, target, earlier)

    def looked(self, look: Look, sheet: np.ndarray) -> None:
        """Take what the footage was taken for, and the frames looked at."""
        self.look, self._sheet = look, sheet

    def enter(self, stage: str) -> None:
        """Note that a stage begins."""
        self._entered += 1
        if not self._finished:
            self._write({"status": "running", "stage": stage})
        if self._sheet is not None:
            write_image(self.out / SHEET, self._sheet)
            self._sheet = None

    def abandon(self) -> None:
        """Leave nothing behind of a call that failed in its first stage."""
        if self._new and self._entered <= 1 and self.out.is_dir() \
                and {p.name for p in self.out.iterdir()} <= {JSON, SHEET}:
            for name in (JSON, SHEET):
                (self.out / name).unlink(missing_ok=True)
            self.out.rmdir()

    def finish(self, files: dict[str, Path], metrics: dict) -> Path:
        """Gather what the stages say; write both reports, return the text's path."""
        found = doubts(self.out, self.look, self.clip)
        self.doubts = tuple(map(str, found))
        order = sorted(files, key=lambda n: [*WORDS, n].index(n))
        shown = {name: files[name].relative_to(self.out).as_posix() for name in order}
        sheets = [name for name in (SHEET, *(f"{s}/{n}" for s in STAGES for n in (
            "overlay.jpg", "overlay.mp4", "held_out.jpg", "expressions.jpg"))
            ) if (self.out / name).is_file()]
        self._write({"status": "finished", "files": shown, "sheets": sheets,
                     "metrics": metrics, "doubts": [vars(d) for d in found],
                     "done": notes(self.out)})
        path, text = self.out / TEXT, self._text(shown, sheets, found).encode()
        if not (path.is_file() and path.read_bytes() == text):
            write_bytes(path, text)
        return path

    def _write(self, more: dict) -> None:
        path = self.out / JSON
        data = {"asked": self.asked, "photo": self.photo, "target": self.target, "kind": self.kind,
                "look": self.look.as_dict() if self.look else None, **more}
        data = json.loads(json.dumps(data, default=str))  # as it will be read back
        if not (path.is_file() and read_json(path, "report of make") == data):
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(path, data)

    def _text(self, files: dict[str, str], sheets: list[str], found: list[Doubt]) -> str:
        why = f" ({self.look.why})" if self.look else ""
        lines = [f"# {self.photo} into {Path(self.target).name}", "",
                 f"Taken for: {NAMES[self.kind]}{why}.", ""]
        if self.look:
            other = self.look.otherwise
            lines += [f"{other[0].upper()}{other[1:]}, and choose another --out.", ""]
        lines += ["## Look at", "", *(f"- [{n}]({p}): {WORDS.get(n, 'the swapped picture')}"
                                      for n, p in files.items()),
                  *(f"- [{p}]({p}): {WORDS[Path(p).name]}" for p in sheets), "",
                  "## What to doubt", ""]
        lines += [f"- {d}" for d in found] or ["Nothing was noticed. Look all the same."]
        lines += ["", "## What was done", "", *(f"- {line}" for line in notes(self.out)), "",
                  "Every made picture, video and model is marked as synthetic; `idf verify FILE` "
                  "reads the mark.", ""]
        return "\n".join(lines)


WORDS = {
    "viewer.html": "the head, to turn in a browser", "orbit.mp4": "one turn as a video",
    "avatar.html": "the avatar in a browser: turn it, move its face",
    "avatar.mp4": "the avatar as a video", "avatar.png": "a picture of it",
    "avatar.ply": "the model, for any splat viewer", "swap.png": "before and after the swap",
    "before_after.png": "before and after the swap", SHEET: "the frames that were looked at first",
    "overlay.jpg": "how cameras or mesh fit the frames",
    "overlay.mp4": "every frame with the fitted mesh",
    "held_out.jpg": "frames that were not trained on, and below them the result",
    "expressions.jpg": "the avatar's expressions"}
