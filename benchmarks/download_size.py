"""How much the default install downloads: `python benchmarks/download_size.py`.

Asks pip what it would take for an empty environment of this Python (nothing is installed), adds up
the sizes of those wheels and of the wheel that the face models come out of. Exit code 1 above the
limit. The torch build is the one that run.py takes on a machine without an NVIDIA GPU.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import run
from idf_helpers.face.downloads import FACE_LANDMARKS

LIMIT_MB = 600.0


def resolve(requirements: list[str]) -> list[tuple[str, str, str]]:
    """(name, version, address) of every wheel that pip would take."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
               "--disable-pip-version-check", "--only-binary", ":all:", "--retries", "1",
               "--report", "-", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"pip could not resolve the packages:\n{done.stderr[-2000:]}")
    return [(item["metadata"]["name"], item["metadata"]["version"], item["download_info"]["url"])
            for item in json.loads(done.stdout)["install"]]


def size_mb(url: str) -> float:
    """Size of a wheel in 10^6 bytes: of the file, or as its server tells it."""
    if url.startswith("file:"):
        return Path(urllib.request.url2pathname(unquote(urlsplit(url).path))).stat().st_size / 1e6
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.headers["Content-Length"]) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extra", action="append", default=[], help="an extra to add, e.g. lab")
    parser.add_argument("--top", type=int, default=12, help="how many of the largest to name")
    options = parser.parse_args()

    index = ["--extra-index-url", run.TORCH_CPU_INDEX] if platform.system() == "Linux" else []
    package = f".[{','.join(options.extra)}]" if options.extra else "."
    wheels = resolve([*index, run.TORCH_PIN, package])
    rows = [(size_mb(url), name, version) for name, version, url in wheels
            if name.replace("_", "-") != "idf-helpers"]
    source = FACE_LANDMARKS.source
    rows.append((source.size / 1e6, "(face models, out of)", source.sources[0].requirement))
    rows.sort(reverse=True)
    total = sum(row[0] for row in rows)

    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
          f"extras: {', '.join(options.extra) or 'none'}\n")
    print("| package | version | MB |\n|---|---|---:|")
    for size, name, version in rows[:options.top]:
        print(f"| {name} | {version} | {size:.1f} |")
    print(f"| {len(rows) - options.top} smaller ones | | "
          f"{sum(row[0] for row in rows[options.top:]):.1f} |")
    print(f"| **all {len(rows)}** | limit {LIMIT_MB:.0f} | **{total:.1f}** |")
    return 0 if total <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
