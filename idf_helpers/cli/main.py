"""The command line: the functions that the notebooks call, from a shell."""

from __future__ import annotations

import errno
import os
import sys

import tyro

from ..errors import IdfError
from .commands import COMMANDS, MODULES

MACHINE_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC,
                  errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: list[str] | None = None) -> None:
    """Exit codes: 0 done, 2 bad input (one IdfError on stderr), 130 stopped by Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # `--budget S` is what people type; the field carries its unit in its name
    argv = [a.replace("--budget", "--budget-s", 1) if a == "--budget" or a.startswith("--budget=")
            else a for a in argv]
    for module in MODULES:
        argv = module.rewrite(argv) if hasattr(module, "rewrite") else argv
    for stream in (sys.stdout, sys.stderr):  # a redirected one on Windows may not know all letters
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="idf", args=argv,
                                             description=__doc__.splitlines()[0])
    except IdfError as error:
        print(f"idf: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `idf … | head`: whoever read it has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # the user's files or disk; anything else is a fault of ours
        if error.errno not in MACHINE_ERRORS:
            raise
        print("idf:", IdfError(f"{error.filename or 'A file'} cannot be read or written",
                               error.strerror or str(error),
                               "check the rights, the name and the disk"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nidf: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
