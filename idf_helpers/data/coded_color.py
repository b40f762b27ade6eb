"""Pictures whose colors are told by code points (ITU-T H.273) in place of a profile: PNG's chunk
cICP (https://www.w3.org/TR/png-3/#cICP-chunk) and the property `colr` of AVIF and HEIC (nclx, ISO/
IEC 14496-12, 12.1.5). Wide colors and a high dynamic range (PQ, HLG) become sRGB, as in video.
"""

from __future__ import annotations

import struct

import numpy as np

WHITE = 203.0  # nits of diffuse white, ITU-R BT.2408
KNEE = 0.65  # of it, from where on what is bright is compressed, as in `ffmpeg.to_sdr`
# Linear RGB of these primaries to that of BT.709: BT.2020 (9), Display P3 (12).
TO_BT709 = {
    9: np.array([[1.6604910, -0.5876411, -0.0728499], [-0.1245505, 1.1328999, -0.0083494],
                 [-0.0181508, -0.1005789, 1.1187297]]),
    12: np.array([[1.2249402, -0.2249402, 0.0], [-0.0420570, 1.0420570, 0.0],
                  [-0.0196376, -0.0786360, 1.0982736]])}
PRIMARIES = {9: "BT.2020", 12: "Display P3"}
HDR = {16: "PQ", 18: "HLG"}
PEAK = {16: 10_000 / WHITE, 18: 1000 / WHITE}
_BT709 = (1, 6, 14, 15)  # the same curve


def code_points(head: bytes) -> tuple[int, int] | None:
    """Return (primaries, transfer) that the start of a PNG, AVIF or HEIC file tells, None where it
    tells none or they are those of sRGB."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        at = head[:head.find(b"IDAT")].find(b"\0\0\0\x04cICP")
        found = tuple(head[at + 8:at + 10]) if at >= 0 else ()
    elif head[4:8] == b"ftyp":
        at = head.find(b"colrnclx")
        found = struct.unpack(">HH", head[at + 8:at + 12]) if 0 <= at <= len(head) - 12 else ()
    else:
        return None
    if len(found) != 2 or not (found[0] in TO_BT709 or found[1] in HDR):
        return None
    return found[0], found[1]


def describe(codes: tuple[int, int]) -> str:
    """Return what is done to such a picture, in words."""
    kind = HDR.get(codes[1])
    if kind:
        return f"it is an HDR picture ({kind}): brought to the standard range, sRGB"
    return f"its colors ({PRIMARIES[codes[0]]}) are converted to sRGB"


def to_srgb(rgb: np.ndarray, codes: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3) uint8 sRGB of uint8 pixels stored by these code points."""
    primaries, transfer = codes
    v = np.arange(256) / 255.0
    if transfer == 16:  # SMPTE ST 2084
        p = v ** (1 / 78.84375)
        table = 10_000 / WHITE * (np.maximum(p - 0.8359375, 0)
                                  / (18.8515625 - 18.6875 * p)) ** (1 / 0.1593017578125)
    elif transfer == 18:  # ITU-R BT.2100, light of the scene
        table = np.where(v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277)
                                               + 0.28466892) / 12)
    elif transfer in _BT709:
        table = np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))
    elif transfer == 8:
        table = v
    else:
        table = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return by_rows(rgb, lambda part: _encoded(table.astype(np.float32)[part], primaries, transfer))


def by_rows(rgb: np.ndarray, change) -> np.ndarray:
    """Return what `change` makes of (H, W, 3) uint8 pixels, a few rows at a time: in float a large
    picture would take gigabytes."""
    step = max(1, 2**20 // max(rgb.shape[1], 1))
    return np.concatenate([change(rgb[y:y + step]) for y in range(0, len(rgb), step)])


def _encoded(light: np.ndarray, primaries: int, transfer: int) -> np.ndarray:
    """Return linear light in 8 bits of sRGB, or of BT.1886 where it came by a video's curve."""
    if transfer == 18:  # the display's: system gamma 1.2 on luminance, 1000 nits
        y = np.maximum(light @ (0.2627, 0.6780, 0.0593), 1e-9)
        light = light * (1000 / WHITE * y ** 0.2)[..., None]
    light = np.maximum(light @ TO_BT709.get(primaries, np.eye(3)).T, 0)
    if transfer in HDR:
        light = _compressed(light, PEAK[transfer])
    light = np.clip(light, 0, 1)
    if transfer in _BT709 or transfer in HDR:  # for a display of BT.1886
        out = light ** (1 / 2.4) if transfer in HDR else np.where(
            light < 0.018, 4.5 * light, 1.099 * light ** 0.45 - 0.099)
    else:
        out = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * out + 0.5).astype(np.uint8)


def _compressed(light: np.ndarray, peak: float) -> np.ndarray:
    """Return light with what lies between KNEE and the peak bent to below 1 (Möbius), by the
    brightest channel, so that hues stay."""
    j = KNEE
    top = light.max(-1, keepdims=True)
    a = -j * j * (peak - 1) / (j * j - 2 * j + peak)
    b = (j * j - 2 * j * peak + peak) / max(peak - 1, 1e-6)
    bent = (b * b + 2 * b * j + j * j) / (b - a) * (top + a) / (top + b)
    return light * np.where(top > j, bent / np.maximum(top, 1e-9), 1.0)
