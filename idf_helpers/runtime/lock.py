"""The lock of a run folder: one living process at a time, dead ones do not keep others out.

A thread refreshes the lock's time for as long as it is held, whatever the holder is doing, so that
processes of other machines on the same volume know that the holder lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path

import psutil

from ..errors import IdfError
from .files import write_error
from .safe_json import parse_record

BEAT_S = 20.0  # between two refreshes
STALE_S = 600.0  # without a refresh, of another machine (it died, and the folder lies on Drive)


class FolderLock:
    """The file `lock` in `folder`, which names its owner. Not held before `acquire()`."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "lock"
        self._released: threading.Event | None = None

    def acquire(self) -> None:
        """Take the lock; IdfError where a living process holds it, or it cannot be written."""
        mine = {"pid": os.getpid(), "host": socket.gethostname(),
                "started": psutil.Process().create_time()}
        for _ in range(10):
            try:
                _place(self.path, json.dumps(mine))
                self._released = threading.Event()
                threading.Thread(target=_refresh, args=(self.path, mine, self._released),
                                 name="idf-lock", daemon=True).start()
                return
            except FileExistsError:
                if self.path.is_dir():
                    raise IdfError(f"The lock of {self.folder} cannot be taken",
                                   f"{self.path} is a folder", "rename it, or choose another --out"
                                   ) from None
                owner = _read(self.path)
                if owner is None:  # removed or being written this moment
                    time.sleep(0.05)
                    owner = _read(self.path)
                if owner is None or _is_stale(owner, self.path):
                    self._set_aside(owner)
                    continue
                raise IdfError(f"The output folder {self.folder} is in use by a running process",
                               f"process {owner['pid']} on {owner['host']}",
                               "wait for it to end, or choose another --out") from None
            except OSError as error:
                raise write_error(self.path, error) from error
        raise IdfError(f"The lock of {self.folder} could not be taken", str(self.path),
                       "try again; if it stays, delete that file")

    def release(self) -> None:
        """Release the lock if it is held."""
        if self._released is not None:
            self._released.set()
            self._released = None
            self.path.unlink(missing_ok=True)

    def _set_aside(self, judged: dict | None) -> None:
        """Remove a dead lock. Another process may have judged the same one, removed it and placed
        its own meanwhile: what was moved is looked at once more, and put back if it is that."""
        aside = self.path.with_name(f".lock.{secrets.token_hex(4)}.part")
        try:
            os.rename(self.path, aside)
            if _read(aside) != judged:
                with contextlib.suppress(FileExistsError):
                    _place(self.path, aside.read_text())
            aside.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as error:  # e.g. a folder of that name
            raise write_error(self.path, error) from error


def _refresh(lock: Path, mine: dict, released: threading.Event) -> None:
    """Set the lock's time to now, again and again until it is released or somebody else's."""
    while not released.wait(BEAT_S) and _read(lock) in (mine, None):  # None: for the moment
        with contextlib.suppress(OSError):
            os.utime(lock)


def _place(lock: Path, text: str) -> None:
    """Make the lock with its content in one step, so that nobody reads it half written and takes
    it for a dead one. FileExistsError where there is one."""
    draft = lock.with_name(f".lock.{secrets.token_hex(4)}.part")
    try:
        draft.write_text(text)
        os.link(draft, lock)
    except FileNotFoundError:  # the owner of the lock has just cleaned up and taken the draft along
        raise FileExistsError(lock) from None
    except FileExistsError:
        raise
    except OSError:  # a volume without hard links (Drive, exFAT)
        with open(lock, "x") as f:
            f.write(text)
    finally:
        draft.unlink(missing_ok=True)


def _read(lock: Path) -> dict | None:
    try:
        owner = parse_record(lock.read_bytes(), {"pid": int, "host": str}, "The lock")
        return owner if 0 < owner["pid"] < 2**31 else None
    except (OSError, IdfError):
        return None


def _is_stale(owner: dict, lock: Path) -> bool:
    try:
        silent = time.time() - lock.stat().st_mtime
    except OSError:
        return True
    if owner["host"] != socket.gethostname():
        return silent > STALE_S
    try:
        started = psutil.Process(owner["pid"]).create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:  # somebody else's process
        return False
    # The number may belong to another process by now. A changed clock shifts creation times too,
    # so a lock that is still refreshed counts as held.
    return started != owner.get("started") and silent > 3 * BEAT_S
