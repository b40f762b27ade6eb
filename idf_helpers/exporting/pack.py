"""Splats in as few bytes as the eye needs, for the viewer (`static/splat.js` reads them).

A pack is the text `IDFS`, a uint32 version, a uint32 length, that many bytes of JSON, then the
sections that the JSON lists, each at a multiple of 4 bytes from the start; little endian:
    {"count": N, "sh_degree": d, "chunk": 256,
     "sections": {name: {"type": "u8" | "u16", "columns": D, "codes": at, "ranges": at}, …,
                  "quats": {"type": "u32", "columns": 1, "codes": at}}}
Gaussians follow a Morton curve, so that neighbors in space are neighbors in the file, and every
256 of them share a range per column: value = lo + code · (hi − lo) / (2^bits − 1), codes column
by column, ranges as float32 (chunks, D, 2). Sections: `means` (u16 × 3), `log_scales` (u8 × 3),
`opacities` (u8, after the sigmoid), `colors` (u8 × 3, the degree-0 coefficients), `sh` (u8 × 3K,
the higher ones, in 64 steps, coefficient-major) and `quats`: the three smaller components of the
unit quaternion (w, x, y, z) at 10 bits in [−1/√2, 1/√2], the index of the largest in the top two
bits.
62 bytes a Gaussian at degree 3, 17 at degree 0. A reader ignores sections that it does not know.

An avatar's pack says "bases": K and "moving": M besides. Its first M Gaussians move, and these
sections have M rows instead of N: `logits` (u16, the opacity before the sigmoid) and `delta_means`
(u16 × 3K), `delta_log_scales` (u8 × 3K), `delta_quats` (u8 × 4K, in the units of the unit
quaternion), `delta_logits` (u8 × K), `delta_colors` (u8 × 3K), one basis after the other. A style
is one basis; it brings `delta_sh` besides (u8, 16 or 8 levels, of the first columns of `sh`), and
its `delta_means` are u8; where the pack says "fades", the other columns of `sh` are times 1 − w.
Sections that change nothing are left out, `logits` with `delta_logits`. What is shown at weights w
is value + sum_k w_k delta_k, before exp, sigmoid and normalizing: 19 + 17 K bytes for each Gaussian
that moves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import IdfError
from ..reconstruction.splats.formats.order import morton_order
from ..reconstruction.splats.gaussians import Gaussians

MAGIC, VERSION, CHUNK = b"IDFS", 1, 256
CODES = {"u8": np.dtype("<u1"), "u16": np.dtype("<u2"), "u32": np.dtype("<u4")}
BLOCK = 256 * CHUNK  # rows that are quantized at a time
MIN_OPACITY = 1 / 255  # below it a Gaussian changes no pixel
SH_LEVELS = 64  # that the codes of the higher coefficients take: most of a page is made of them
THINNEST = 1e-3  # of the median scale; thinner ones only cost precision
# Of an expression basis: section, numbers a Gaussian, change that nobody sees, type of the codes.
DELTAS = {
    "means": ("delta_means", 3, 1e-5, "u16"),
    "log_scales": ("delta_log_scales", 3, 1e-3, "u8"),
    "quats": ("delta_quats", 4, 1e-3, "u8"),
    "opacity_logits": ("delta_logits", 1, 1e-3, "u8"),
    "sh": ("delta_colors", 3, 1e-3, "u8"),
}
KINDS = {section: kind for section, _, _, kind in DELTAS.values()}
HIGHER = "delta_sh"  # of a style: change of the view-dependent color, as many columns as it has
# Levels that its codes take, and where the shapes change, too: 55 and 48 dB, a page a third larger.
HIGHER_LEVELS, FEWER_LEVELS = 16, 8


def pack(gaussians: Gaussians, sh_degree: int = 3, deltas: Mapping[str, np.ndarray] | None = None,
         reach=None, fades: bool = False) -> bytes:
    """Return Gaussians quantized and put in order; those too faint to see are left out.

    sh_degree: highest degree of view-dependent color to keep, 0 to 3.
    deltas: means (K, N, 3), log_scales (K, N, 3), quats (K, N, 4), opacity_logits (K, N) and sh
        (K, N, 3; degree 0), what the K basis weights add; perhaps sh_rest (K, N, D), what they add
        to the first D numbers of the higher degrees. reach: (K,) largest |weight|, 1 if None;
        what opens up within it is kept, what it does not move is stored once.
    fades: whether the other numbers of the higher degrees go down with the one weight, to 0 at 1.
    Raises IdfError for NaN, wrong shapes, or where nothing is left to show.
    """
    g = gaussians.checked()
    columns = None if deltas is None else _delta_columns(deltas, len(g), reach)
    most = g.opacity_logits if columns is None else g.opacity_logits + columns.most_logit
    seen = most >= np.log(MIN_OPACITY / (1 - MIN_OPACITY))
    if not seen.any():
        raise IdfError("There is nothing to show", f"0 of {len(gaussians)} Gaussians are visible",
                       "train longer, or leave the clean-up out")
    index = np.flatnonzero(seen)
    index = index[morton_order(g.means[index])]
    head = {"chunk": CHUNK}
    if columns is not None:
        moves = columns.moves[index]
        index = np.concatenate([index[moves], index[~moves]])
        head |= {"bases": columns.bases, "moving": int(moves.sum())}
        head |= {"fades": True} if fades else {}
    g = g[index]
    degree = min(sh_degree, g.sh_degree)
    log_scales = np.maximum(g.log_scales, np.median(g.log_scales) + np.log(THINNEST))
    sections = {"means": _quantize(g.means, "u16"), "log_scales": _quantize(log_scales, "u8"),
                "opacities": _quantize(g.opacities[:, None], "u8"),
                "colors": _quantize(g.sh[:, 0], "u8")}
    if degree:
        sh = g.sh[:, 1:(degree + 1) ** 2].reshape(len(g), -1)
        sections["sh"] = _quantize(sh, "u8", SH_LEVELS)
    sections["quats"] = {"type": "u32", "columns": 1, "codes": pack_quats(g.quats)[:, None]}
    if columns is not None and head["moving"]:
        sections |= _delta_sections(g[:head["moving"]], columns, index[:head["moving"]], degree)
    return _assemble(sections, {"count": len(g), "sh_degree": degree, **head})


@dataclass(frozen=True)
class _Columns:
    """Deltas as (K, N, D) float32 by section name, those that can be seen; with what they can do
    to each Gaussian."""

    values: dict[str, np.ndarray]
    bases: int
    most_logit: np.ndarray  # (N,) the most that can be added to the opacity's logit
    moves: np.ndarray       # (N,) bool


def _delta_columns(deltas: Mapping[str, np.ndarray], n: int, reach) -> _Columns:
    values, bases = {}, {np.shape(v)[0] for v in deltas.values() if np.ndim(v)}
    if set(deltas) - {"sh_rest"} != set(DELTAS) or len(bases) != 1:
        raise IdfError("An expression basis needs a delta for every property, all of one length",
                       f"{', '.join(f'{k} {np.shape(v)}' for k, v in deltas.items()) or 'none'}",
                       f"give {', '.join(DELTAS)}")
    (k,) = bases
    parts = DELTAS if "sh_rest" not in deltas else DELTAS | {
        "sh_rest": (HIGHER, np.shape(deltas["sh_rest"])[-1], 1e-3, "u8")}
    for name, (section, width, _, _) in parts.items():
        array = np.asarray(deltas[name], np.float32)
        if array.size != k * n * width or array.shape[:2] != (k, n):
            raise IdfError(f"The deltas have a wrong `{name}`", f"shape {array.shape}",
                           f"give ({k}, {n}, {width})")
        if not np.isfinite(array).all():
            raise IdfError(f"The deltas hold NaN or infinity in `{name}`",
                           f"{int((~np.isfinite(array)).sum())} values", "train the avatar again")
        values[section] = array.reshape(k, n, width)
    reach = np.ones(k) if reach is None else np.asarray(reach, np.float64).reshape(k)
    # what all weights together can change, against what the eye could tell
    change = {s: np.einsum("k,knd->nd", reach, np.abs(v)).max(axis=1, initial=0)
              for s, v in values.items()}
    seen = {s: change[s] > still for s, _, still, _ in parts.values()}
    return _Columns({s: v for s, v in values.items() if seen[s].any()}, k,
                    change["delta_logits"], np.any(list(seen.values()), axis=0))


def _delta_sections(g: Gaussians, columns: _Columns, index: np.ndarray, degree: int) -> dict:
    """g: the Gaussians that move, in order; index: their places in the deltas; degree: of the
    colors that are kept."""
    unit = np.linalg.norm(g.quats, axis=1)
    largest = g.quats[np.arange(len(g)), np.argmax(np.abs(g.quats), axis=1)]
    turn = np.where(largest < 0, -1, 1) / unit  # as `pack_quats` turns the quaternion itself
    sections = {}
    for section, value in columns.values.items():
        value = value[:, index]  # (K, M, D)
        if section == "delta_quats":
            value = value * turn[None, :, None]
        if section == "delta_logits":
            sections["logits"] = _quantize(np.clip(g.opacity_logits, -12, 12)[:, None], "u16")
        if section == HIGHER and not degree:
            continue
        if section == HIGHER:  # of what the pack keeps of them
            value = value[..., :3 * ((degree + 1)**2 - 1)]
        flat = value.transpose(1, 0, 2).reshape(len(g), -1)
        if HIGHER in columns.values:  # a style: its shapes move by little
            levels = FEWER_LEVELS if "delta_means" in columns.values else HIGHER_LEVELS
            sections[section] = _quantize(flat, "u8", levels if section == HIGHER else 0)
        else:
            sections[section] = _quantize(flat, KINDS[section])
    return {name: {**s, "rows": len(g)} for name, s in sections.items()}


def pack_quats(quats: np.ndarray) -> np.ndarray:
    """Return quaternions of any length, (N, 4), as (N,) uint32: "smallest three"."""
    q = quats.astype(np.float64) / np.linalg.norm(quats, axis=1, keepdims=True)
    largest = np.argmax(np.abs(q), axis=1)
    rows = np.arange(len(q))
    q *= np.where(q[rows, largest] < 0, -1, 1)[:, None]  # q and −q are the same rotation
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    code = np.rint((q[rows[:, None], others] * np.sqrt(0.5) + 0.5) * 1023).astype(np.uint32)
    return (largest.astype(np.uint32) << 30) | (code[:, 0] << 20) | (code[:, 1] << 10) | code[:, 2]


def _quantize(values: np.ndarray, kind: str, levels: int = 0) -> dict:
    """(N, D) -> codes (N, D) and ranges (chunks, D, 2) of every 256 rows. levels: how many of the
    codes are used, evenly spaced, so that gzip makes less of them; 0 = all."""
    n, columns = values.shape
    top = 256 ** CODES[kind].itemsize - 1
    starts = np.arange(0, n, CHUNK)
    lo = np.minimum.reduceat(values, starts, axis=0).astype(np.float32)
    hi = np.maximum.reduceat(values, starts, axis=0).astype(np.float32)
    span = np.maximum(hi.astype(np.float64) - lo, 1e-30)
    last = levels - 1 if levels else top
    step = top // last
    codes = np.empty((n, columns), CODES[kind])
    for i in range(0, n, BLOCK):  # not all at once, for the memory
        part = values[i:i + BLOCK]
        chunk = np.arange(i, i + len(part)) // CHUNK
        codes[i:i + BLOCK] = step * np.clip(
            np.rint((part - lo[chunk]) / span[chunk] * last), 0, last)
    if levels:
        hi = (lo + (hi - lo) * (top / (last * step))).astype(np.float32)
    return {"type": kind, "columns": columns, "codes": codes,
            "ranges": np.stack([lo, hi], axis=-1)}


def _assemble(sections: dict, head: dict) -> bytes:
    parts, at, listed = [], 0, {}
    for name, section in sections.items():
        listed[name] = {k: section[k] for k in ("type", "columns", "rows") if k in section}
        for key in ("codes", "ranges"):
            if key in section:
                array = section[key].T if key == "codes" else section[key].astype("<f4")
                raw = np.ascontiguousarray(array).tobytes()
                listed[name][key] = at
                parts.append(raw + bytes(-len(raw) % 4))
                at += len(parts[-1])
    # The offsets count from the start of the file, whose length depends on the offsets: the JSON
    # is padded to a length that surely holds them.
    room = 12 + -(-(len(json.dumps({**head, "sections": listed})) + 16 * len(parts)) // 4) * 4
    for section in listed.values():
        for key in ("codes", "ranges"):
            if key in section:
                section[key] += room
    text = json.dumps({**head, "sections": listed}).encode().ljust(room - 12)
    return (MAGIC + VERSION.to_bytes(4, "little") + len(text).to_bytes(4, "little") + text
            + b"".join(parts))
