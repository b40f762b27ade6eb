"""ImplicitDeepfake: one photo and views of a head become a 3D or 4D avatar."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from ..errors import IdfError, nearest
from ..runtime.signals import stopping
from .commands import COMMANDS

MACHINE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC,
                  errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: list[str] | None = None) -> None:
    """Run one command. Exit codes: 0 done, 2 bad input (one IdfError on stderr), 130 stopped by
    Ctrl-C, 143 and 129 by SIGTERM and SIGHUP."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):  # a redirected one on Windows may not know all letters
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with stopping():
            _run(argv)
    except IdfError as error:
        print(f"idf: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `idf … | head`: whoever read it has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # the user's files or disk; anything else is a bug of ours
        if error.errno not in MACHINE_ERRORS:
            raise
        print("idf:", IdfError(f"{error.filename or 'A file'} cannot be read or written",
                               error.strerror or str(error),
                               "check the permissions, the name and the disk"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("\nidf: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(128 + getattr(error, "number", 2))


def _run(argv: list[str]) -> None:
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        sys.exit(0 if argv else 2)
    if argv[0] not in COMMANDS:
        raise IdfError(f"There is no command `{argv[0]}`", argv[0] + nearest(argv[0], COMMANDS),
                       "see `idf --help`")
    from .parser import run  # numpy, OpenCV and the parser: not for a list of commands

    run(COMMANDS[argv[0]], argv[1:])


def overview() -> str:
    """Return the list of commands, one line each."""
    width = max(map(len, COMMANDS))
    return "\n".join(["usage: idf COMMAND ...", "", (__doc__ or "").strip(), "",
                      *(f"  {name.ljust(width)}  {c.summary}" for name, c in COMMANDS.items()),
                      "", "`idf COMMAND --help` lists the flags of one."])


if __name__ == "__main__":
    main()
