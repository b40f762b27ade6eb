"""Whether two versions of this program compute the same, bit for bit.

    python same_results.py --python PYTHON --tree CHECKOUT --out FOLDER
    python same_results.py --python PYTHON --tree CHECKOUT --out FOLDER --compare OTHER.json
    python same_results.py --python PYTHON --tree CHECKOUT --out FOLDER --runs OTHER_FOLDER/runs

The first line runs every job below on the bundled samples, through the command line only, one
after the other, each with a fixed seed and a fixed number of iterations, and writes what came out
to FOLDER/results.json: for every job the hashes of its outputs. The second line does the same and
compares with an earlier results.json; it exits with 1 where anything differs. The third line
trains nothing anew: it reads the runs that another version left behind, to render, export and
measure them and to build on them; with --compare too, that must come out the same.

Hashes are taken of the content: decoded pixels of pictures and videos, arrays of .npz and .tar
files, the binary part of .ply and .glb files, the numbers of .json files and of printed tables.
Left out are times, memory, paths, prose, and the marks of provenance, which carry an id of the run.

Results of two machines differ, and so may those of two versions of NumPy, PyTorch or OpenCV: run
both checkouts on one machine with the same PYTHON. With --only NAMES, wildcards allowed, a part of
the jobs is run, with those that they need where FOLDER does not have them yet. All jobs take three
minutes on two cores, and some minutes more where kernels have to be compiled first.
"""

from __future__ import annotations

import argparse
import base64
import fnmatch
import gzip
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# What the checkout calls a command, flag or value that the jobs below name: {"--old": "--new"}.
# --rename=--old=--new adds to it for one call.
RENAMED: dict[str, str] = {}

THREADS = "2"  # the same on every machine; nothing below should depend on it
LIMIT_S = 600  # a job that takes longer has failed
CONSENT = "Computer-made sample faces, no real person is shown."

# The pictures that the jobs take from the samples: so many of each split, evenly spaced.
SUBSETS = {
    "heads": ("head_multiview", {"train": 10, "val": 1, "test": 2}),
    "turn": ("head_turntable", {"train_main": 12}),
    "talk": ("head_talking", {"train": 24, "val": 2, "test": 4}),
}
CLIP_FRAMES = 12  # the first ones of the talking head, as a folder and as a video

# A small network, in the text format of nerf-pytorch.
VANILLA_CONFIG = """\
netdepth = 4
netwidth = 64
netdepth_fine = 4
netwidth_fine = 64
N_rand = 256
N_samples = 24
N_importance = 24
precrop_iters = 5
raw_noise_std = 0.5
dataset_type = blender
white_bkgd = True
use_viewdirs = True
"""


@dataclass(frozen=True)
class Job:
    """One call of the command line.

    words: the call; {out} is the job's own folder, {data} the inputs that this script makes,
    {samples} the bundled ones, {runs} the folder of all jobs' folders. file: what --out names
    inside the job's folder; "" for the folder itself. needs: jobs whose folders it reads.
    printed: whether the numbers that it prints are results. first: the call as the first landed
    version spells it, "" = the same.
    """

    words: str
    file: str = ""
    needs: tuple[str, ...] = ()
    printed: bool = False
    first: str = ""


PHOTO = "--source {samples}/source_photos/B.png --consent {consent}"
STYLE = "stylize {data}/turn --stylist preset --preset bronze --keys 3 --resolution 96"
VANILLA = "nerf {samples}/head_multiview --backend vanilla --iterations 20 --resolution 16"
EXEMPLAR = ("stylize {data}/turn --stylist exemplar --keys 3 --resolution 96 --propagator geometry"
            " --exemplar {runs}/stylize_flow/keys_out/train_main_r_0.png")

JOBS = {
    # swaps
    "swap_uv": Job(f"swap {{data}}/heads --backend uv {PHOTO}"),
    "swap_mesh": Job(f"swap {{data}}/heads --backend mesh {PHOTO}"),
    "swap_talking": Job(f"swap {{data}}/talk --backend uv {PHOTO}"),
    "swap_merged": Job("swap {data}/heads --backend uv --source {samples}/source_photos/B.png"
                       " {samples}/source_photos/B_three_quarter.png --shape 0.5"
                       " --consent {consent}"),
    "swap_processes": Job(f"swap {{data}}/heads --backend uv --engine process {PHOTO}"),
    "swap_picture": Job(f"swap {{samples}}/head_multiview/train/r_25.png --backend mesh {PHOTO}"),
    "swap_video_uv": Job(f"swap {{data}}/clip.mp4 --backend uv {PHOTO}"),
    "swap_video_mesh": Job(f"swap {{data}}/clip.mp4 --backend mesh {PHOTO}"),
    "swap_eval": Job("eval {runs}/swap_uv {runs}/swap_mesh", needs=("swap_uv", "swap_mesh"),
                     printed=True),
    # splats
    "splat": Job("splat {samples}/head_multiview --backend cpu --iterations 150 --resolution 96"),
    # Gaussians are added at 200 and 300 iterations
    "splat_growing": Job("splat {samples}/head_multiview --backend cpu --iterations 320"
                         " --resolution 64 --initial 2000 --background white --seed 3"),
    "splat_reference": Job("splat {data}/heads --backend reference --iterations 4 --resolution 24"
                           " --initial 100 --max-gaussians 200"),
    "splat_render": Job("render {runs}/splat --views 4 --resolution 128", needs=("splat",)),
    "splat_orbit": Job("render {runs}/splat --orbit --frames 8 --resolution 96",
                       needs=("splat",)),
    "splat_eval": Job("eval {runs}/splat", needs=("splat",), printed=True),
    "splat_ply": Job("export {runs}/splat", "model.ply", ("splat",)),
    "splat_splat": Job("export {runs}/splat", "model.splat", ("splat",)),
    "splat_html": Job("export {runs}/splat", "model.html", ("splat",)),
    "splat_mp4": Job("export {runs}/splat --frames 8 --resolution 96", "turn.mp4", ("splat",)),
    "splat_png": Job("export {runs}/splat --resolution 96", "picture.png", ("splat",)),
    "splat_clean": Job("export {runs}/splat --clean --crop 0.8", "model.ply", ("splat",),
                       printed=True),
    "splat_graphdeco": Job("export {runs}/splat --format graphdeco", "model", ("splat",)),
    "graphdeco_render": Job("render {runs}/splat_graphdeco/model --views 2 --resolution 96",
                            needs=("splat_graphdeco",)),
    "ply_eval": Job("eval {runs}/splat_ply/model.ply --dataset {data}/heads --resolution 96",
                    needs=("splat_ply",), printed=True),
    # radiance fields
    "nerf": Job("nerf {samples}/head_multiview --backend voxel --iterations 220 --resolution 64"),
    "nerf_vanilla": Job(f"{VANILLA} --config {{data}}/vanilla.txt",
                        first=f"{VANILLA} --vanilla.config {{data}}/vanilla.txt"),
    "nerf_render": Job("render {runs}/nerf --views 2 --resolution 96", needs=("nerf",)),
    "nerf_eval": Job("eval {runs}/nerf", needs=("nerf",), printed=True),
    "nerf_glb": Job("export {runs}/nerf", "mesh.glb", ("nerf",)),
    "nerf_ply": Job("export {runs}/nerf", "mesh.ply", ("nerf",)),
    "nerf_png": Job("export {runs}/nerf --resolution 96", "picture.png", ("nerf",)),
    "nerf_mp4": Job("export {runs}/nerf --resolution 64 --frames 4", "turn.mp4", ("nerf",)),
    "vanilla_render": Job("render {runs}/nerf_vanilla --views 1 --resolution 32",
                          needs=("nerf_vanilla",)),
    "vanilla_eval": Job("eval {runs}/nerf_vanilla", needs=("nerf_vanilla",), printed=True),
    "splat_on_field": Job("splat {samples}/head_multiview --backend cpu --iterations 40"
                          " --resolution 64 --points {runs}/nerf", needs=("nerf",)),
    # talking heads
    "track": Job("track {data}/frames"),
    "track_video": Job("track {data}/clip.mp4 --fov 29 --every 2 --val 1 --test 1"),
    "avatar": Job("avatar {samples}/head_talking --backend cpu --iterations 320 --resolution 64"
                  " --baseline"),
    "avatar_swapped": Job("avatar {data}/talk --backend cpu --iterations 30 --resolution 64"
                          " --swap {samples}/source_photos/B.png --consent {consent}",
                          "avatar"),
    "avatar_eval": Job("eval {runs}/avatar", needs=("avatar",), printed=True),
    "avatar_html": Job("export {runs}/avatar", "model.html", ("avatar",)),
    "avatar_mp4": Job("export {runs}/avatar --frames 4 --resolution 64", "turn.mp4", ("avatar",)),
    "express_png": Job("express {runs}/avatar --set jawOpen=0.6 --resolution 96", "picture.png",
                       ("avatar",)),
    "express_ply": Job("express {runs}/avatar --set jawOpen=0.6", "model.ply", ("avatar",)),
    "reenact": Job("reenact {runs}/avatar --driver head_talking --frames 8 --resolution 64",
                   needs=("avatar",)),
    # looks
    "stylize_geometry": Job(f"{STYLE} --propagator geometry --depth {{runs}}/splat",
                            needs=("splat",),
                            first=f"{STYLE} --propagator geometry --depth-model {{runs}}/splat"),
    "stylize_flow": Job(f"{STYLE} --propagator flow"),
    "stylize_patchmatch": Job(f"{STYLE} --propagator patchmatch"),
    "stylize_exemplar": Job(f"{EXEMPLAR} --depth {{runs}}/splat", needs=("splat", "stylize_flow"),
                            first=f"{EXEMPLAR} --exemplar-frame train_main/r_0"
                                  " --depth-model {runs}/splat"),
    "loop": Job("loop {data}/turn --stylist preset --preset bronze --end 2"
                " --output-resolution 96 --propagator flow --splat-iterations 60"
                " --splat-resolution 96"),
    # all together
    "demo": Job("demo --iterations 60 --resolution 64"),
}


# --- run -----------------------------------------------------------------------------------------

class Runner:
    """Runs jobs of one checkout with one Python, in one folder."""

    def __init__(self, python: Path, tree: Path, out: Path, renamed: dict[str, str]):
        self.python, self.tree, self.renamed = python, tree, renamed
        self.data, self.runs, self.logs = out / "data", out / "runs", out / "logs"
        for folder in (self.data, self.runs, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def python_call(self, words: list[str], cwd: Path | None = None):
        environment = os.environ | {
            "PYTHONPATH": str(self.tree), "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": THREADS, "NUMBA_NUM_THREADS": THREADS, "COLUMNS": "100"}
        return subprocess.run([str(self.python), *words], cwd=cwd or self.tree, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S, text=True,
                              encoding="utf-8", errors="replace")

    def hashed(self, *paths: Path) -> dict:
        """Artifacts of files and folders, by this same script in the checkout's Python."""
        done = self.python_call(["-P", str(Path(__file__).resolve()), "--hash", *map(str, paths)])
        if done.returncode:
            raise SystemExit(f"The outputs cannot be hashed:\n{done.stdout[-3000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def words(self, name: str) -> list[str]:
        job, out = JOBS[name], self.runs / name
        places = {"{data}": self.data, "{samples}": self.tree / "assets" / "samples",
                  "{runs}": self.runs, "{consent}": CONSENT}
        call = job.words if (self.tree / "idf_helpers" / "making.py").is_file() else (
            job.first or job.words)
        words = []
        for word in f"{call} --out".split():
            word = self.renamed.get(word, word)
            for key, value in places.items():
                word = word.replace(key, str(value))
            words.append(word)
        if words[0] == "eval":  # prints a table, writes nothing
            return words[:-1]
        return [*words, str(out / job.file if job.file else out)]

    def run(self, name: str) -> dict:
        """Seconds, exit code and artifacts of one job; what it wrote before is deleted."""
        job, out = JOBS[name], self.runs / name
        shutil.rmtree(out, ignore_errors=True)
        if job.file:
            out.mkdir()
        words, started = self.words(name), time.perf_counter()
        try:
            done = self.python_call(["-m", "idf_helpers", *words])
            code, printed = done.returncode, done.stdout
        except subprocess.TimeoutExpired:
            code, printed = "timeout", ""
        seconds = time.perf_counter() - started
        (self.logs / f"{name}.txt").write_text(f"{words}\n{printed}", encoding="utf-8")
        artifacts, about = {"exit code": str(code)}, {}
        if code != 0:
            about["printed"] = printed[-2000:]
        if out.exists():
            found = self.hashed(out)
            artifacts |= found["artifacts"]
            about |= found["about"]
        if job.printed and code == 0:
            table = self.table(printed)
            artifacts["printed numbers"] = numbers_of(table)
            about["printed"] = table
        return {"seconds": round(seconds, 1), "artifacts": artifacts, "about": about}

    def table(self, printed: str) -> str:
        """Printed lines without those that name files or progress, and without paths."""
        for place in (self.runs, self.data, self.tree):
            printed = printed.replace(str(place), "")
        return "\n".join(line for line in re.split(r"[\r\n]+", printed)
                         if line.strip() and not re.match(r"written:|  \w[\w' ]*: +\d+ %", line))

    def make_data(self) -> dict:
        """Writes the jobs' inputs; returns their artifacts."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir()
        samples = self.tree / "assets" / "samples"
        for name, (source, splits) in SUBSETS.items():
            subset(samples / source, self.data / name, splits)
        frames = self.data / "frames"
        frames.mkdir()
        for k in range(CLIP_FRAMES):
            shutil.copy(samples / "head_talking" / "train" / f"f_{k:04d}.png", frames)
        (self.data / "vanilla.txt").write_text(VANILLA_CONFIG, encoding="utf-8")
        done = self.python_call(["-P", str(Path(__file__).resolve()), "--video", str(frames),
                                 str(self.data / "clip.mp4")])
        if done.returncode:
            raise SystemExit(f"The video cannot be made:\n{done.stdout[-3000:]}")
        return self.hashed(self.data) | {"seconds": 0.0}


def subset(source: Path, target: Path, splits: dict[str, int]) -> None:
    """A dataset with so many frames of each split of another one."""
    for split, count in splits.items():
        content = json.loads((source / f"transforms_{split}.json").read_text(encoding="utf-8"))
        content["frames"] = content["frames"][::len(content["frames"]) // count][:count]
        for frame in content["frames"]:
            name = Path(frame["file_path"])
            name = name if name.suffix else name.with_suffix(".png")
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)
        (target / f"transforms_{split}.json").write_text(json.dumps(content), encoding="utf-8")
    if (source / "bg").is_dir():
        shutil.copytree(source / "bg", target / "bg")


def chosen(patterns: list[str], runs: Path, readers_only: bool) -> list[str]:
    """Names of the jobs to run, in their order, with what they need and `runs` lacks."""
    names = {n for n in JOBS if any(fnmatch.fnmatch(n, p) for p in patterns or ["*"])}
    if readers_only:
        names = {n for n in names if JOBS[n].needs}
    for name in reversed(JOBS):  # a job stands below those that it needs
        if name in names:
            names |= {n for n in JOBS[name].needs if not (runs / n).exists()}
    return [n for n in JOBS if n in names]


# --- hash: in the checkout's Python --------------------------------------------------------------

# what another run of the same job need not repeat, by key
VOLATILE = re.compile(r"second|(^|_)s$|per_s$|rss|memory|bytes|sha256|run_id|created|duration|"
                      r"processor|cpus")
SKIPPED = ("run.json", "consent.json", "events.jsonl", "cfg_args", "*.provenance.json", "*.txt",
           "*.log")
PICTURES, VIDEOS = (".png", ".jpg", ".jpeg"), (".mp4",)


def sha(*parts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, (bytes, memoryview)) else str(part).encode())
        digest.update(b"|")
    return digest.hexdigest()


def numbers_of(text: str) -> str:
    """Hash of all numbers in a text, and how many there are."""
    found = re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)
    return f"{sha(*found)} of {len(found)}"


def leaves(value, path: str = ""):
    """(path, number) of everything in a JSON value; items of lists share a path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not VOLATILE.search(str(key)):
                yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    elif isinstance(value, (bool, int, float)) or value is None:
        yield path, repr(value)


def json_artifacts(value) -> dict[str, str]:
    """By path: the number itself where there is one, else a hash of all."""
    grouped: dict[str, list[str]] = {}
    for path, number in leaves(value):
        grouped.setdefault(path, []).append(number)
    return {p: v[0] if len(v) == 1 else f"{sha(*v)} of {len(v)}" for p, v in grouped.items()}


def array_hash(array) -> str:
    import numpy as np

    return sha(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())


def picture(path: Path) -> dict[str, str]:
    import numpy as np
    from PIL import Image

    with Image.open(path) as opened:
        return {"pixels": array_hash(np.asarray(opened))}


def video(path: Path) -> dict[str, str]:
    import cv2

    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(array_hash(frame))
    capture.release()
    return {"frames": f"{sha(*frames)} of {len(frames)}"}


def npz(path: Path) -> dict[str, str]:
    import numpy as np

    artifacts = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            array = arrays[name]
            if array.dtype == np.uint8 and array.ndim == 1 and bytes(array[:1]) == b"{":
                inner = json_artifacts(json.loads(bytes(array)))  # a header in JSON
                artifacts |= {f"{name} {key}": value for key, value in inner.items()}
            else:
                artifacts[name] = array_hash(array)
    return artifacts


def checkpoint(path: Path) -> dict[str, str]:
    import torch

    def parts(value, path=""):
        if isinstance(value, torch.Tensor):
            yield sha(path, array_hash(value.detach().cpu().numpy()))
        elif isinstance(value, dict):
            for key, inner in value.items():
                if not VOLATILE.search(str(key)):
                    yield from parts(inner, f"{path}.{key}")
        elif isinstance(value, (list, tuple)):
            for k, inner in enumerate(value):
                yield from parts(inner, f"{path}.{k}")
        elif not isinstance(value, str):
            yield sha(path, repr(value))

    content = torch.load(path, map_location="cpu", weights_only=True)
    return {key: sha(*parts(value)) for key, value in content.items()}


def ply(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    end = content.index(b"end_header\n") + len(b"end_header\n")
    header = [line for line in content[:end].decode("latin-1").splitlines()
              if not line.startswith(("comment", "obj_info"))]
    return {"layout": sha(*header), "data": sha(content[end:])}


def glb(path: Path) -> dict[str, str]:
    content, position, artifacts = path.read_bytes(), 12, {}
    while position < len(content):
        length, kind = struct.unpack_from("<I4s", content, position)
        chunk = content[position + 8:position + 8 + length]
        if kind == b"JSON":
            tree = json.loads(chunk)
            tree.pop("asset")  # with the marks
            artifacts["layout"] = sha(json.dumps(tree, sort_keys=True))
        else:
            artifacts["data"] = sha(chunk)
        position += 8 + length
    return artifacts


def page(path: Path) -> dict[str, str]:
    """Payload and numbers of a page's data; scripts and words may change."""
    text, artifacts = path.read_text(encoding="utf-8"), {}
    for kind, name, inner in re.findall(
            r'<script type="([^"]+)"(?: id="([^"]+)")?[^>]*>(.*?)</script>', text, re.DOTALL):
        if kind == "application/json":
            found = json.loads(inner)
            artifacts[f"{name} numbers"] = sha(*(number for _, number in leaves(found)))
            artifacts[f"{name} texts"] = sha(*(m for m in re.findall(r'"([^"]{200,})"', inner)))
        elif kind == "application/octet-stream":
            artifacts[f"{name} data"] = sha(gzip.decompress(base64.b64decode(inner)))
    return artifacts


def hash_file(path: Path) -> dict[str, str]:
    """Artifacts of one file, by what is hashed of it."""
    if any(fnmatch.fnmatch(path.name, pattern) for pattern in SKIPPED):
        return {}
    kinds = {".npz": npz, ".tar": checkpoint, ".ply": ply, ".glb": glb, ".html": page}
    kinds |= dict.fromkeys(PICTURES, picture) | dict.fromkeys(VIDEOS, video)
    suffix = path.suffix.lower()
    if suffix == ".json":
        return json_artifacts(json.loads(path.read_text(encoding="utf-8")))
    return kinds[suffix](path) if suffix in kinds else {"bytes": sha(path.read_bytes())}


def hash_all(paths: list[str]) -> dict:
    """Artifacts of all files below some folders, and the sizes of pages, which may change."""
    artifacts, about = {}, {}
    for root in map(Path, paths):
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            name = path.relative_to(root).as_posix()
            artifacts |= {f"{name}: {what}": value for what, value in hash_file(path).items()}
            if path.suffix == ".html":
                about[f"{name}: size"] = path.stat().st_size
    return {"artifacts": artifacts, "about": about}


def make_video(frames: str, target: str) -> None:
    import imageio_ffmpeg

    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-framerate",
                    "25", "-i", str(Path(frames) / "f_%04d.png"), "-c:v", "libx264", "-crf", "12",
                    "-threads", "1", "-pix_fmt", "yuv420p", target], check=True)


# --- compare -------------------------------------------------------------------------------------

def verdicts(before: dict, now: dict) -> dict[str, str]:
    """Of the artifacts of one job, by name: "same", or what is not."""
    found = {}
    new_by_value: dict[str, list[str]] = {}
    for name in now.keys() - before.keys():
        new_by_value.setdefault(now[name], []).append(name)
    for name, value in before.items():
        if name in now:
            found[name] = "same" if now[name] == value else f"DIFFERS {short(value, now[name])}"
        elif len(value) >= 64 and len(new_by_value.get(value, [])) == 1:
            found[name] = f"same, as {new_by_value.pop(value)[0]}"  # only its name has changed
        else:
            found[name] = "MISSING"
    for names in new_by_value.values():
        found |= {name: "NEW" for name in names}
    return found


def short(before: str, now: str) -> str:
    return f"({before[:12]} -> {now[:12]})" if max(len(before), len(now)) >= 64 else \
        f"({before} -> {now})"


def compared(before: dict, now: dict, every_row: bool) -> bool:
    """Prints the table; True where all is the same. Jobs that were not run now are left out."""
    rows, fine = [], True
    for job, result in now.items():
        if job not in before:
            rows.append((job, "", "not in the file compared with"))
            continue
        judged = verdicts(before[job]["artifacts"], result["artifacts"])
        wrong = {n: v for n, v in judged.items() if not v.startswith("same")}
        fine = fine and not wrong
        rows.append((job, f"{len(judged)} artifacts",
                     "same" if not wrong else f"{len(wrong)} NOT THE SAME"))
        rows += [(job, name, verdict) for name, verdict in judged.items()
                 if every_row or verdict != "same"]
    widths = [max(len(row[k]) for row in rows) for k in (0, 1)] if rows else [0, 0]
    for job, name, verdict in rows:
        print(f"{job:{widths[0]}}  {name:{widths[1]}}  {verdict}")
    count = sum(len(result["artifacts"]) for result in now.values())
    print(f"{len(now)} jobs, {count} artifacts: {'all the same' if fine else 'NOT THE SAME'}")
    return fine


# --- command line --------------------------------------------------------------------------------

def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help="Python with the packages installed")
    parser.add_argument("--tree", type=Path, help="checkout to run")
    parser.add_argument("--out", type=Path, help="folder for inputs, runs, logs, results.json")
    parser.add_argument("--compare", type=Path, help="an earlier results.json")
    parser.add_argument("--results", type=Path,
                        help="compare this results.json, in place of running anything")
    parser.add_argument("--only", nargs="+", default=[], help="names of jobs, wildcards allowed")
    parser.add_argument("--runs", type=Path,
                        help="runs/ folder of another call: read its runs, train nothing")
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW",
                        help="what this checkout calls a command, flag or value, for example "
                             "--rename=--old-flag=--new-flag; may be repeated")
    parser.add_argument("--all", action="store_true", help="show every artifact")
    parser.add_argument("--list", action="store_true", help="list the jobs and stop")
    parser.add_argument("--hash", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--video", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_all(asked: argparse.Namespace) -> dict:
    """Runs the jobs, prints a line for each, keeps results.json up to date."""
    out = asked.out.resolve()
    # the Python of a virtual environment is a link, and must be called by the link's name
    runner = Runner(Path(os.path.abspath(asked.python)), asked.tree.resolve(), out,
                    RENAMED | dict(pair.split("=", 1) for pair in asked.rename))
    results = {"data": runner.make_data()}
    if asked.runs:
        for name in JOBS:
            source = asked.runs / name
            if not JOBS[name].needs and source.is_dir():
                shutil.rmtree(runner.runs / name, ignore_errors=True)
                shutil.copytree(source, runner.runs / name)
    names = chosen(asked.only, runner.runs, bool(asked.runs))
    for name in names:
        results[name] = result = runner.run(name)
        code = result["artifacts"]["exit code"]
        print(f"{name:20} {result['seconds']:6.1f} s {len(result['artifacts']):4} artifacts"
              + ("" if code == "0" else f"  FAILED, {code}: {result['about']['printed'][-300:]}"),
              flush=True)
        (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results


def main() -> int:
    asked = arguments()
    if asked.hash:
        print(json.dumps(hash_all(asked.hash)))
        return 0
    if asked.video:
        make_video(*asked.video)
        return 0
    if asked.list:
        for name, job in JOBS.items():
            print(f"{name:20} {job.words}")
        return 0
    if asked.results:
        results = json.loads(asked.results.read_text(encoding="utf-8"))
    elif asked.python and asked.tree and asked.out:
        results = run_all(asked)
    else:
        raise SystemExit("--python, --tree and --out are needed")
    failed = [n for n, r in results.items() if r["artifacts"].get("exit code", "0") != "0"]
    if failed:
        print(f"failed: {', '.join(failed)}")
    if asked.compare:
        before = json.loads(asked.compare.read_text(encoding="utf-8"))
        if not compared(before, results, asked.all):
            return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
