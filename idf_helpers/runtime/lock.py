"""The lock of a run folder: one living process at a time, dead ones do not keep others out."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path

from ..errors import IdfError
from .files import write_error

STALE_S = 600.0  # of another machine (a Drive folder after the notebook's machine died)


class FolderLock:
    """The file `lock` in `folder`, which names its owner. Not held before `acquire()`."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "lock"
        self._held = False

    def acquire(self) -> None:
        """IdfError where a living process holds it, or it cannot be written."""
        mine = {"pid": os.getpid(), "host": socket.gethostname(),
                "started": _process_start(os.getpid())}
        for _ in range(10):
            try:
                _place(self.path, json.dumps(mine))
                self._held = True
                return
            except FileExistsError:
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
        raise IdfError(f"The lock of {self.folder} could not be taken", str(self.path))

    def release(self) -> None:
        if self._held:
            self.path.unlink(missing_ok=True)
            self._held = False

    def heartbeat(self) -> None:
        """Tells other machines that the owner is alive (STALE_S)."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def _set_aside(self, judged: dict | None) -> None:
        """Removes a dead lock. Another process may have judged the same one, removed it and placed
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


def _place(lock: Path, text: str) -> None:
    """Makes the lock with its content in one step, so that nobody reads it half written and takes
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
        owner = json.loads(lock.read_text())
        plain = 0 < int(owner["pid"]) < 2**31 and isinstance(owner["host"], str)
        return owner if plain else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _is_stale(owner: dict, lock: Path) -> bool:
    if owner["host"] != socket.gethostname():
        try:
            return time.time() - lock.stat().st_mtime > STALE_S
        except OSError:
            return True
    # the number may have been given to another process since
    return not _is_alive(owner["pid"]) or owner.get("started") != _process_start(owner["pid"])


def _is_alive(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would send a Ctrl-C there
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        kernel.CloseHandle(ctypes.c_void_p(handle))
        return code.value == 259  # STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _process_start(pid: int) -> str | None:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    return None
