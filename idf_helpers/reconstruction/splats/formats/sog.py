"""Splats as `.sog` (PlayCanvas): WebP pictures without loss and a meta.json, in a zip or a folder.

After the SOG page of the PlayCanvas manual (https://developer.playcanvas.com/user-manual/
gaussian-splatting/formats/sog/) and playcanvas/splat-transform, src/lib/readers/read-sog.ts,
read-sog-v1.ts and writers/write-sog.ts (MIT). One pixel a Gaussian:
    means_l, means_u   low and high byte of 16-bit positions, of sign(x) ln(1 + |x|)
    scales             three places in a codebook of 256 log scales
    quats              three of w, x, y, z times the root of 2, and 252 + which one is left out
    sh0                three places in a codebook of 256, opacity (0 to 255)
    shN_labels, shN_centroids   a place in a palette of at most 65536 rows of harmonics, the rows
Version 1 (no field `version`) has bounds in place of codebooks. Axes as in a .ply: usually +y down.
"""

from __future__ import annotations

import contextlib
import io
import math
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ....errors import IdfError
from ....runtime import safe_json
from ....runtime.archives import open_zip
from ....runtime.files import readable
from .axes import COLMAP
from .splat_model import DRAWN_BOLDER, OURS, Orbit, SplatModel, damaged, logits, usable

META, MAX_META = "meta.json", 8 << 20
MOST_FILES = 64  # in the zip: it holds 8
MAX_POINTS = 1 << 27
PER_BYTE = 64  # Gaussians that one byte of a file may stand for at most: real ones have 0.1
COEFFICIENTS = (0, 3, 8, 15)
WIDTH = 64  # palette rows that lie side by side
OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def is_meta(path: Path) -> bool:
    """Return whether a path is the meta.json of an unpacked SOG."""
    if path.name != META or not path.is_file() or path.stat().st_size > MAX_META:
        return False
    head = path.read_bytes()
    return b'"means"' in head and b'"quats"' in head and b'"sh0"' in head


class _Source:
    """The files of a SOG, in a zip, or beside a meta.json; sizes are checked before each read."""

    def __init__(self, path: Path, opened: zipfile.ZipFile | None):
        self.path, self.zip = path, opened
        self.size = path.stat().st_size if opened else sum(
            p.stat().st_size for p in path.parent.iterdir() if p.is_file())

    def read(self, name: str, most: int) -> bytes:
        if PurePosixPath(name).name != name or name in ("", ".", ".."):
            raise damaged(self.path, "SOG", f"a file named {name[:60]!r}")
        if self.zip:
            if name not in self.zip.namelist():
                raise damaged(self.path, "SOG", f"no file {name} at the top of the archive")
            info = self.zip.getinfo(name)
            if info.file_size > most:
                raise damaged(self.path, "SOG", f"{name} unpacks to {info.file_size} bytes")
            with self.zip.open(info) as f:
                return f.read(most + 1)[:most]
        file = self.path.parent / name
        if file.stat().st_size > most:
            raise damaged(self.path, "SOG", f"{name} of {file.stat().st_size} bytes")
        return file.read_bytes()

    def picture(self, name: str, pixels: int, spare: int = 2) -> np.ndarray:
        """Return (H, W, 4) uint8 with at least `pixels` pixels, and at most about `spare` times as
        many."""
        data = self.read(name, 5 * spare * pixels + (4 << 20))
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
            w, h = picture.size
            if not pixels <= w * h <= spare * pixels + (1 << 18):
                raise damaged(self.path, "SOG", f"{name} has {w} x {h} pixels for {pixels}")
            return np.asarray(picture.convert("RGBA"))


def read_sog(path: Path) -> SplatModel:
    """Return the Gaussians of a `.sog`, or of a folder with its files; path: the zip, the folder or
    its meta.json.

    IdfError: no SOG, another version, a file missing or damaged, pictures of another size than the
    number of Gaussians asks for (checked before they are unpacked).
    """
    path = path / META if path.is_dir() else path
    with readable(path, "splat file"), contextlib.ExitStack() as stack:
        try:
            opened = None if path.name == META else stack.enter_context(open_zip(path, MOST_FILES))
            source = _Source(path, opened)
            meta = safe_json.parse(source.read(META, MAX_META), f"The {META} of {path}")
            version = meta.get("version", 1)
            if version not in (1, 2):
                raise IdfError(f"{path} is a SOG of version {str(version)[:20]}",
                               "1 and 2 can be read", "export it as version 2, or as .ply")
            return _model(path, source, meta, version)
        except KeyError as error:
            raise damaged(path, "SOG", f"no {str(error)[:80]}") from None
        except (ValueError, TypeError, AttributeError, IndexError, SyntaxError, EOFError,
                zlib.error, zipfile.BadZipFile, Image.DecompressionBombError) as error:
            raise damaged(path, "SOG", f"{type(error).__name__}: {error}"[:160]) from None
        except FileNotFoundError as error:
            raise damaged(path, "SOG", f"no file {Path(str(error.filename)).name}") from None
        except OSError as error:
            if error.errno is not None:
                raise
            raise damaged(path, "SOG", str(error)[:160]) from None  # Pillow's word for bad pictures


def _model(path: Path, source: _Source, meta: dict, version: int) -> SplatModel:
    n = meta["count"] if version == 2 else meta["means"]["shape"][0]
    if not isinstance(n, int) or not 0 < n <= min(MAX_POINTS, PER_BYTE * source.size):
        raise damaged(path, "SOG", f"{n!r:.40} Gaussians in {source.size} bytes")

    def pixels(part: str, index: int = 0) -> np.ndarray:
        return source.picture(meta[part]["files"][index], n).reshape(-1, 4)[:n]

    low, high = (_numbers(meta["means"][m], 3) for m in ("mins", "maxs"))
    word = pixels("means")[:, :3].astype(np.float32) + np.float32(256) * pixels("means", 1)[:, :3]
    means = low + (high - low) * (word / np.float32(65535))
    means = np.sign(means) * np.expm1(np.abs(means))
    quats = _quats(pixels("quats"))
    if version == 2:
        scales = _book(meta["scales"])[pixels("scales")[:, :3]]
        sh0 = pixels("sh0")
        color, opacity = _book(meta["sh0"])[sh0[:, :3]], logits(sh0[:, 3] / np.float32(255))
    else:
        scales = _between(meta["scales"], pixels("scales")[:, :3])
        sh0 = _between(meta["sh0"], pixels("sh0"))
        color, opacity = sh0[:, :3], sh0[:, 3]
    sh = color[:, None]
    if meta.get("shN"):
        sh = np.concatenate([sh, _rest(path, source, meta["shN"], version, n)], axis=1)
    model = usable(path, means, scales, quats, opacity, sh)
    if str(meta.get("asset", {}).get("generator")).startswith(OURS):
        model.axes, model.of_cameras = COLMAP, True
    if meta.get("antialias") is True or meta.get("model") == "antialiased":
        model.notes.append(DRAWN_BOLDER)
    model.orbit = Orbit.of(meta.get("idf:orbit"))
    return model


def _rest(path: Path, source: _Source, part: dict, version: int, n: int) -> np.ndarray:
    """Return (N, K, 3) harmonics of degree 1 on."""
    labels = source.picture(part["files"][1], n).reshape(-1, 4)[:n].astype(np.int64)
    labels = labels[:, 0] + 256 * labels[:, 1]
    rows = math.ceil((int(labels.max()) + 1) / WIDTH)
    if version == 2:
        bands = part["bands"]
        if bands not in (1, 2, 3):
            raise damaged(path, "SOG", f"{bands!r:.20} bands")
        table = source.picture(part["files"][0], WIDTH * COEFFICIENTS[bands] * rows)
    else:
        table = source.picture(part["files"][0], WIDTH * COEFFICIENTS[1] * rows, 10)
    count = table.shape[1] // WIDTH
    if count not in COEFFICIENTS[1:] or table.shape[1] % WIDTH or len(table) < rows \
            or version == 2 and count != COEFFICIENTS[bands]:
        raise damaged(path, "SOG", f"a palette of {table.shape[1]} x {len(table)} pixels")
    palette = table[..., :3].reshape(-1, count, 3)
    values = _book(part)[palette] if version == 2 else np.float32(part["mins"]) + np.float32(
        part["maxs"] - part["mins"]) * (palette / np.float32(255))
    return values[labels].astype(np.float32)


def _numbers(values, count: int) -> np.ndarray:
    out = np.asarray(values, np.float32)
    if out.shape != (count,) or not np.isfinite(out).all() or np.abs(out).max() > 1e6:
        raise ValueError(f"{count} numbers expected")
    return out


def _book(part: dict) -> np.ndarray:
    """Return the 256 numbers of a codebook; shorter ones are filled up with their last."""
    book = np.asarray(part["codebook"], np.float32)
    if book.ndim != 1 or not 0 < len(book) <= 256:
        raise ValueError("a codebook has 1 to 256 numbers")
    return np.pad(book, (0, 256 - len(book)), mode="edge")


def _between(part: dict, byte: np.ndarray) -> np.ndarray:
    low, high = (_numbers(part[m], byte.shape[1]) for m in ("mins", "maxs"))
    return low + (high - low) * (byte / np.float32(255))


def _quats(pixels: np.ndarray) -> np.ndarray:
    """Return (N, 4) quaternions; a pixel that names no component is no rotation: the identity."""
    left_out = pixels[:, 3].astype(np.intp) - 252
    small = (pixels[:, :3].astype(np.float32) / np.float32(127.5) - 1) * np.float32(0.5**0.5)
    out = np.zeros((len(pixels), 4), np.float32)
    out[:, 0] = 1
    for k in range(4):
        mine = left_out == k
        out[np.ix_(mine, OTHERS[k])] = small[mine]
        out[mine, k] = np.sqrt(np.maximum(0, 1 - (small[mine] ** 2).sum(axis=1)))
    return out
