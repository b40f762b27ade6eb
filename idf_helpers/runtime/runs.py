"""Run folders: a manifest that identifies the work, a lock, checkpoints, resume.

`run.json` holds what was asked (stage, backend, full config, inputs) and what came of it. The
identity of a run is the hash of what was asked: running the same again does nothing once it is
finished, goes on where it stopped otherwise, and refuses a folder that holds another run.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..errors import IdfError, shorten
from .files import (
    read_json,
    remove_leftovers,
    sha256_file,
    stable_hash,
    write_bytes,
    write_error,
    write_json,
)
from .lock import FolderLock
from .machine import machine, peak_rss_mb
from .npz import read_arrays
from .safe_json import parse
from .signals import stopping

FORMAT = 2  # 1: the stage "stylize" was spelled "stylise"
CHECKPOINT_EVERY_S = 60.0  # a killed run may lose two minutes: one interval and the time to write
KEEP_CHECKPOINTS = 2


class RunFolder:
    """One stage's output folder. Use as a context manager:

        with RunFolder(out, stage="splat", backend="cpu", config=config, inputs=...) as run:
            if run.finished: return load(run.path)
            ...
            run.finish(metrics)

    out: the folder itself; new, empty, or an earlier run of the same identity.
    config: dataclass or dict of plain values; inputs: e.g. `Dataset.fingerprint()`.
    defaults: what runs did that were made before `config` had a field; a dataclass brings its own.
    resume: False starts an unfinished or finished run of the same identity from nothing; then
    `resumed` is False, and what an earlier try left beside the checkpoints must not be used.

    IdfError: the folder is in use by a living process, holds other files or another run, or
    cannot be written. Leaving by an IdfError empties a folder that this call found empty and
    removes one that it made, so that bad input leaves nothing behind; an interrupt keeps it for the
    next call to go on from.
    """

    def __init__(self, out, *, stage: str, backend: str, config, inputs, resume: bool = True,
                 defaults: dict | None = None):
        self.path = Path(out)
        if is_dataclass(config):
            config, defaults = asdict(config), asdict(type(config)())  # type: ignore[arg-type]
        self._asked = _plain({"stage": stage, "backend": backend, "config": dict(config),
                              "inputs": inputs})
        self._defaults = _plain(defaults or {})
        self._resume = resume
        self.finished = False
        self.resumed = False
        self._last_checkpoint = time.monotonic()
        self._started = time.monotonic()
        self._made: list[Path] = []
        self._was_empty = False
        self._discarded = False
        self._paused = ""
        self._lock = FolderLock(self.path)
        self.manifest: dict = {}

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self) -> RunFolder:
        self._started = time.monotonic()
        earlier = self._read_earlier()
        self._make_folder()
        self._signals = stopping()
        self._signals.__enter__()
        try:
            self._lock.acquire()
            remove_leftovers(self.path)
            earlier = self._read_earlier()  # another process may have finished it meanwhile
            if earlier and self._resume:
                self.manifest, self.resumed = earlier, True
                self.finished = earlier.get("status") == "finished"
            else:
                self._clear()
                self.manifest = {"format": FORMAT, "run_id": secrets.token_hex(6),
                                 "identity": _identity(self._asked), **self._asked,
                                 "created": _now(), "seconds_wall": 0.0}
            if not self.finished:
                self.manifest |= {"status": "running", "versions": versions(), "machine": machine()}
                self._save()
            self._wall_before = float(self.manifest.get("seconds_wall", 0.0))
        except BaseException:
            self._lock.release()
            self._remove_made()
            self._signals.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, error, trace) -> bool:
        try:
            if kind is not None and issubclass(kind, IdfError) and self._was_empty \
                    and (self._discarded or not self.has_work()):
                self._lock.release()
                self._remove_content()
                self._remove_made()
            elif self._paused:
                with contextlib.suppress(IdfError):
                    self._save(status="waiting", error=self._paused[:500])
            elif not self.finished:
                status = ("interrupted" if kind is not None and issubclass(kind, KeyboardInterrupt)
                          else "failed" if kind else "unfinished")
                with contextlib.suppress(IdfError):  # the first error is the one to show
                    self._save(status=status, error=str(error)[:500] if error else None)
        finally:
            self._lock.release()
            self._signals.__exit__(None, None, None)
        return False

    def finish(self, metrics: dict | None = None, **extra) -> None:
        """Mark the run as finished; `metrics` also goes to metrics.json."""
        if metrics is not None:
            write_json(self.path / "metrics.json", metrics)
        self._save(status="finished", error=None, metrics=metrics, **extra)
        self.finished = True
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    @property
    def run_id(self) -> str:
        return self.manifest["run_id"]

    def discard(self) -> None:
        """Declare all output so far worthless; call it before raising IdfError."""
        self._discarded = True

    def pause(self, why: str) -> None:
        """Declare that the run waits for something outside, before raising: its status becomes
        "waiting", and a later call goes on."""
        self._paused = why

    def has_work(self) -> bool:
        """Whether anything worth keeping was written."""
        return (self.path / "checkpoints").is_dir() or (self.path / "events.jsonl").is_file()

    def _save(self, **extra) -> None:
        self.manifest |= {k: v for k, v in extra.items() if v is not None}
        if extra.get("error", "") is None:
            self.manifest.pop("error", None)
        self.manifest |= {
            "updated": _now(), "peak_rss_mb": round(peak_rss_mb(), 1),
            "seconds_wall": round(getattr(self, "_wall_before", 0.0)
                                  + time.monotonic() - self._started, 2)}
        write_json(self.path / "run.json", self.manifest)

    # --- what is there already ----------------------------------------------------------------

    def _read_earlier(self) -> dict | None:
        """Return the manifest of an earlier run of the same identity; None where the folder is
        free."""
        manifest = self.path / "run.json"
        try:
            if not self.path.exists():
                return None
            if not self.path.is_dir():
                raise IdfError(f"The output folder {self.path} is a file", "a file",
                               "choose another --out")
            there = [] if manifest.is_file() else \
                [p.name for p in sorted(self.path.iterdir())
                 if p.name != "lock" and not p.name.startswith(".")]
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            raise write_error(self.path, error) from error
        if not manifest.is_file():
            if there:
                raise IdfError(f"The output folder {self.path} is in use", shorten(there),
                               "choose a new or empty folder with --out")
            return None
        earlier = read_manifest(self.path)
        then, older = earlier, "made by an earlier version of this program: "
        if _format(earlier) == FORMAT:
            config = _completed(earlier["config"], self._asked["config"], self._defaults)
            then, older = earlier | {"config": config}, ""
        asked = (_identity(self._asked), _identity_by_times(self._asked))
        of_then = not older and (_identity(then), _identity_by_times(then)
                                 if then["inputs"] == _without_content(then["inputs"]) else "")
        if earlier.get("identity") in asked or of_then and (
                of_then[0] == asked[0] or of_then[1] == asked[1]):
            return earlier
        raise IdfError(
            f"The output folder {self.path} holds another run",
            older + _difference(then, self._asked),
            "choose another --out, or delete that folder to run again with the new settings")

    def _make_folder(self) -> None:
        missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise write_error(self.path, error) from error
        self._made = missing if self.path in missing else []
        self._was_empty = not any(self.path.iterdir())

    def _remove_content(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def _remove_made(self) -> None:
        for folder in self._made:  # innermost first; stops at the first that holds something
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                return

    def _clear(self) -> None:
        for name in ("run.json", "metrics.json", "events.jsonl"):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    # --- events and checkpoints ---------------------------------------------------------------

    def event(self, **fields) -> None:
        """Append one line to events.jsonl (flushed; a torn last line is skipped at reading)."""
        try:
            with open(self.path / "events.jsonl", "a", encoding="utf-8") as f:
                f.write(json.dumps(fields, default=str) + "\n")
                f.flush()
        except OSError as error:
            raise write_error(self.path / "events.jsonl", error) from error

    def events(self) -> list[dict]:
        path = self.path / "events.jsonl"
        if not path.is_file():
            return []
        out = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(IdfError):
                event = parse(line, "the event")
                if isinstance(event, dict):
                    out.append(event)
        return out

    def files(self, kind: str) -> dict[str, dict]:
        """Return name -> event of that kind, of those whose `file` is still as its `sha256` says.
        """
        out = {}
        for event in self.events():
            path = self.path / str(event.get("file", "?"))
            if event.get("kind") == kind and isinstance(event.get("name"), str) \
                    and os.path.isfile(path) and sha256_file(path) == event.get("sha256"):
                out[event["name"]] = event
        return out

    def checkpoint_due(self) -> bool:
        return time.monotonic() - self._last_checkpoint >= CHECKPOINT_EVERY_S

    def save_checkpoint(self, step: int, arrays: dict[str, np.ndarray], state: dict) -> None:
        """Write checkpoints/step_<step>.npz atomically; keep the last two.

        arrays: plain numeric arrays. state: JSON-able (RNG states, counters, clock).
        """
        buffer = io.BytesIO()
        packed = np.frombuffer(json.dumps(state).encode(), np.uint8)
        np.savez(buffer, __state__=packed, **arrays)
        folder = self.path / "checkpoints"
        write_bytes(folder / f"step_{step:09d}.npz", buffer.getvalue())
        for old in sorted(folder.glob("step_*.npz"))[:-KEEP_CHECKPOINTS]:
            old.unlink()
        self._last_checkpoint = time.monotonic()
        self._save()

    def latest_checkpoint(self, check: Callable[[dict[str, np.ndarray], dict], None] | None = None
                          ) -> tuple[dict[str, np.ndarray], dict] | None:
        """Return (arrays, state) of the newest checkpoint that can be read, or None.

        check: raises ValueError where they are not what its caller can go on from; such a
        checkpoint is passed over like a damaged one.
        """
        for path in sorted((self.path / "checkpoints").glob("step_*.npz"), reverse=True):
            try:
                arrays = read_arrays(path, {"__state__": "u1 S"}, "checkpoint")
                state = parse(arrays.pop("__state__").tobytes(), f"The state in {path.name}",
                              bits=128)  # of the random generator
                if not isinstance(state, dict):
                    raise ValueError(f"a {type(state).__name__} as state")
                if check is not None:
                    check(arrays, state)
                return arrays, state
            except (IdfError, ValueError) as error:
                self.event(kind="unreadable checkpoint skipped", file=path.name,
                           why=str(error)[:200])
        return None


# --- reading runs ---------------------------------------------------------------------------------

def read_manifest(folder) -> dict:
    """Return the content of run.json in a run folder. IdfError where there is none."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise IdfError(f"{folder} is not a run folder", "no run.json in it",
                       "give the folder named with --out when the stage ran")
    manifest = read_json(path, "run manifest")
    wanted = {"run_id": str, "config": dict, "inputs": dict}
    maybe = {**dict.fromkeys(("made", "source_type", "consent", "stage", "backend", "status",
                              "updated", "identity"), str), "seconds_wall": (int, float),
             "metrics": dict, "versions": dict}
    wrong = [type(manifest).__name__] if not isinstance(manifest, dict) else \
        [k for k, kind in (wanted | maybe).items()
         if not isinstance(manifest.get(k), kind) and (k in wanted or k in manifest)]
    if not wrong and not isinstance(manifest["inputs"].get("folder", ""), str):
        wrong = ["inputs.folder"]
    if wrong:
        raise IdfError(f"The run manifest {path} is damaged, or another program's",
                       f"{', '.join(wrong)} missing or of another kind",
                       "delete the folder and run its stage again; in a dataset of your own, "
                       "rename the file")
    if _format(manifest) > FORMAT:
        raise IdfError(f"The run {folder} was made by a newer version of this program",
                       f"format {manifest['format']}; this version knows {FORMAT}",
                       "update idf_helpers, or run the stage again in another folder")
    if manifest.get("stage") == "stylise":
        manifest["stage"] = "stylize"
    return manifest


def _format(manifest: dict) -> int:
    number = manifest.get("format", 1)
    return number if isinstance(number, int) else 1


def latest_run(runs_dir, stage: str) -> Path | None:
    """Return the newest finished run of `stage` at or below `runs_dir` (three levels deep), or
    None."""
    found = []
    for depth in ("", "*/", "*/*/", "*/*/*/"):
        for path in Path(runs_dir).glob(depth + "run.json"):
            with contextlib.suppress(IdfError):
                manifest = read_manifest(path.parent)
                if manifest.get("stage") == stage and manifest.get("status") == "finished":
                    found.append((manifest.get("updated", ""), path.parent))
    return max(found)[1] if found else None


def versions() -> dict[str, str]:
    """Return versions of this package, Python and the numeric libraries already imported."""
    out = {"idf_helpers": __version__, "python": platform.python_version()}
    for name in ("numpy", "numba", "cv2", "torch", "scipy", "PIL", "onnxruntime", "gsplat"):
        module = sys.modules.get(name)
        if module is not None:
            out[name] = str(getattr(module, "__version__", "?"))
    return out


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _identity(asked: dict) -> str:
    """Hash of what was asked. Where the inputs lie does not count, nor when they were written:
    folders may be moved and copied."""
    return stable_hash({k: asked.get(k) for k in ("stage", "backend", "config")}
                       | {"inputs": by_content(asked["inputs"])})


def by_content(inputs: dict) -> dict:
    """Return what identifies inputs wherever they lie: without their folders, and without the
    times of files where a hash of their content is told."""
    gone = ("folder", "files") if "content" in inputs else ("folder",)
    return {k: by_content(v) if isinstance(v, dict) else v for k, v in inputs.items()
            if k not in gone}


def same_inputs(then, now) -> bool:
    """Whether an earlier record of inputs means those of now; it may be of a version that told
    pictures by their times."""
    if not isinstance(then, dict) or not isinstance(now, dict):
        return then == now
    return by_content(then) == by_content(now) or then == _without_content(now)


def _identity_by_times(asked: dict) -> str:
    """Hash as before pictures counted by their content: by their times."""
    inputs = {k: v for k, v in _without_content(asked["inputs"]).items() if k != "folder"}
    return stable_hash({k: asked.get(k) for k in ("stage", "backend", "config")}
                       | {"inputs": inputs})


def _without_content(inputs: dict) -> dict:
    return {k: _without_content(v) if isinstance(v, dict) else v for k, v in inputs.items()
            if k != "content" or "files" not in inputs}


def _completed(then: dict, now: dict, defaults: dict) -> dict:
    """Return a config of an earlier version with the fields that are asked for now and that it did
    not know: it did what their defaults do."""
    out = dict(then)
    for name, default in defaults.items():
        if name in now and name not in then:
            out[name] = default
        elif all(isinstance(c.get(name), dict) for c in (then, now, defaults)):
            out[name] = _completed(then[name], now[name], default)
    return out


def _plain(values: dict) -> dict:
    """Return values as they will be read back."""
    return json.loads(json.dumps(values, default=str))


def _difference(earlier: dict, asked: dict) -> str:
    out = []
    for part in ("stage", "backend"):
        if earlier.get(part) != asked[part]:
            out.append(f"{part} {earlier.get(part)!r}, now {asked[part]!r}")
    for part in ("config", "inputs"):
        a, b = earlier[part], asked[part]
        if "content" in a and "content" in b:
            a, b = by_content(a), by_content(b)
        keys = [k for k in {**a, **b} if a.get(k) != b.get(k) and k != "folder"]
        out += [f"{k} {str(a.get(k))[:60]!r}, now {str(b.get(k))[:60]!r}" for k in keys]
    names = [k for k in {**earlier["config"]} if k not in asked["config"]]
    return shorten(out) or f"settings that are gone: {shorten(names)}"
