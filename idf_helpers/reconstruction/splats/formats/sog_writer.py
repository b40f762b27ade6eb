"""Write splats as `.sog`; what the pictures hold stands in `sog`."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from ....runtime.machine import cpu_count
from ..gaussians import Gaussians
from .codebooks import nearest_numbers, numbers, rows
from .order import morton_order
from .sog import COEFFICIENTS, META, OTHERS, WIDTH
from .splat_model import OURS, Orbit

EFFORT = {"quality": 20, "method": 2}  # of WebP without loss: more takes longer, saves 2 %
SHARE = 6  # Gaussians that a palette row stands for, on average
FEWEST, MOST = 1024, 16384  # palette rows


def write_sog(g: Gaussians, path: Path, orbit: Orbit | None = None) -> None:
    """Write Gaussians, whose axes are `COLMAP` (+y down), as version 2 in a zip."""
    order, n = morton_order(g.means), len(g)
    width = -(-int(np.ceil(np.sqrt(n))) // 4) * 4
    height = -(-n // width // 4) * 4 or 4
    jobs: dict[str, np.ndarray] = {}

    def texture(name: str, columns: np.ndarray, alpha=255) -> None:
        out = np.zeros((width * height, 4), np.uint8)
        out[:n, :columns.shape[1]] = columns
        if columns.shape[1] < 4:
            out[:, 3] = alpha
        jobs[name] = out.reshape(height, width, 4)

    meta: dict = {"version": 2, "asset": {"generator": OURS},
                  "count": n}
    means, color = g.means[order], np.ascontiguousarray(g.sh[order, 0])
    logs = np.sign(means) * np.log1p(np.abs(means))
    low, high = logs.min(axis=0), logs.max(axis=0)
    word = np.rint((logs - low) / np.where(high > low, high - low, 1) * 65535).astype(np.uint16)
    texture("means_l.webp", (word & 255).astype(np.uint8))
    texture("means_u.webp", (word >> 8).astype(np.uint8))
    meta["means"] = {"mins": low.tolist(), "maxs": high.tolist(),
                     "files": ["means_l.webp", "means_u.webp"]}
    book = numbers(g.log_scales)
    texture("scales.webp", nearest_numbers(g.log_scales[order], book))
    meta["scales"] = {"codebook": book.tolist(), "files": ["scales.webp"]}
    texture("quats.webp", _quats(g.quats[order]))
    meta["quats"] = {"files": ["quats.webp"]}
    book = numbers(color)
    alpha = np.rint(255 * g.opacities[order]).astype(np.uint8)
    texture("sh0.webp", np.concatenate([nearest_numbers(color, book), alpha[:, None]], axis=1))
    meta["sh0"] = {"codebook": book.tolist(), "files": ["sh0.webp"]}
    with ThreadPoolExecutor(max(1, cpu_count())) as pool:  # encoding frees the interpreter
        done = {name: pool.submit(_webp, jobs.pop(name)) for name in list(jobs)}
        if g.sh_degree:
            rest = g.sh.reshape(n, -1)[:, 3:]  # a view: no copy of what is largest
            palette, labels = rows(rest, int(np.clip(n // SHARE, FEWEST, MOST)))
            labels = labels[order]
            book, count = numbers(palette), COEFFICIENTS[g.sh_degree]
            table = np.full((-(-len(palette) // WIDTH) * WIDTH, count, 4), 255, np.uint8)
            table[..., :3] = 0
            table[:len(palette), :, :3] = nearest_numbers(palette, book).reshape(-1, count, 3)
            texture("shN_labels.webp", np.stack([labels & 255, labels >> 8], axis=1))
            jobs["shN_centroids.webp"] = table.reshape(-1, WIDTH * count, 4)
            meta["shN"] = {"count": len(palette), "bands": g.sh_degree, "codebook": book.tolist(),
                           "files": ["shN_centroids.webp", "shN_labels.webp"]}
            done |= {name: pool.submit(_webp, jobs.pop(name)) for name in list(jobs)}
        if orbit:
            meta["idf:orbit"] = asdict(orbit)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
            for name, data in [(META, json.dumps(meta).encode()),
                               *((name, job.result()) for name, job in done.items())]:
                out.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def _webp(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    # exact: the values below an alpha of 0 are data too
    Image.fromarray(pixels).save(out, "WEBP", lossless=True, exact=True, **EFFORT)
    return out.getvalue()


def _quats(quats: np.ndarray) -> np.ndarray:
    q = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.abs(q).argmax(axis=1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)
    out = np.empty((len(q), 4), np.uint8)
    small = np.take_along_axis(q, OTHERS[largest], axis=1)
    out[:, :3] = np.clip(np.rint((small * 2**0.5 * 0.5 + 0.5) * 255), 0, 255)
    out[:, 3] = 252 + largest
    return out
