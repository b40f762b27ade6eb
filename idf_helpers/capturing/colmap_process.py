"""A worker process that reports in lines of JSON: started, listened to, ended in time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import IdfError
from ..runtime.machine import cpu_count

WORKER = Path(__file__).with_name("colmap_worker.py")


def run_worker(job: Path, seconds: float, report: Callable[[str, float], None],
               worker: Path = WORKER) -> None:
    """Run `worker` on a job file until it says that it is done.

    seconds: after which it is killed. report: called with each step's name and share in [0, 1].
    IdfError: it crashed, complained, took too long, or ended without a word. Whatever happens here
    (an interrupt, too), no process is left behind.
    """
    threads = str(cpu_count())
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": "1"}
    again = "run the same command again: it goes on from there"
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen([sys.executable, "-I", str(worker), str(job)], env=environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=complaints, cwd=job.parent)
        lines: queue.Queue[bytes | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        deadline, step, error = time.monotonic() + seconds, "starting", ""
        try:
            while True:
                try:
                    line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    raise IdfError("pycolmap took too long to find the cameras",
                                   f"{seconds:.0f} s, while at: {step}",
                                   f"{again}; or take fewer frames") from None
                if line is None:
                    break
                message = _message(line)
                if message.get("done"):
                    return
                error = message.get("error", error)
                if "step" in message:
                    step = str(message["step"])
                    report(step, float(message.get("share", 0.0)))
            code = process.wait()
            said = error or _last_line(complaints)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise IdfError("pycolmap could not find the cameras" if error else
                           "pycolmap ended unexpectedly", f"{how}, while at: {step}"
                           + (f"; {said}" if said else ""), again)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                pipe.close()


def _pump(stream, lines: queue.Queue) -> None:
    """Hand on lines, None at the end."""
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # closed from the other side
        pass
    lines.put(None)


def _message(line: bytes) -> dict:
    """Return what a line says; nothing where it is not ours (libraries print, too)."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _last_line(complaints) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return lines[-1][-200:] if lines else ""
