"""The imperceptible watermark: what is lost to the eye, what survives, what is found by mistake.

    python benchmarks/watermark.py [--photos FOLDER] [--unmarked N] [--seed N]

Pictures: views of the bundled heads on white and on dark gray, the bundled source photos, and the
pictures under a folder of one's own, all at 512 pixels of the shorter side. Attacks, one each:
JPEG of quality 50; half the size; a crop that leaves 90 % of either side; H.264 at crf 28 (twelve
marked frames of a picture that moves, read together); a screenshot (shown at 0.6 to 1.5 times its
size, any ratio, then JPEG of quality 90). Unmarked crops of 96 to 512 pixels, from pictures at
random scales, turned by 90 degrees and mirrored.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from idf_helpers.data import media, samples
from idf_helpers.metrics import psnr, ssim
from idf_helpers.provenance.watermark import detect, detect_frames, embed
from idf_helpers.runtime.machine import cpu_count, cpu_name

SIDE, FRAMES = 512, 12
HEADS = ("head_multiview", "head_turntable", "head_talking")


@dataclass(frozen=True)
class Options:
    """Settings of this benchmark."""

    photos: Path | None = None
    """Folder whose pictures are measured too, at any depth."""
    unmarked: int = 10_000
    """Unmarked crops to search."""
    seed: int = 0
    """Of payloads, crops and scales."""


def resized(rgb: np.ndarray, side: int) -> np.ndarray:
    f = side / min(rgb.shape[:2])
    size = round(rgb.shape[1] * f), round(rgb.shape[0] * f)
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if f < 1 else cv2.INTER_CUBIC)


def pictures(photos: Path | None) -> dict[str, list[np.ndarray]]:
    """Return all pictures, uint8, by kind."""
    out: dict[str, list[np.ndarray]] = defaultdict(list)
    for name in HEADS:
        views = sorted((samples.path(name) / "test").glob("*.png"))
        for i, view in enumerate(views[::max(1, len(views) // 10)]):
            picture = media.read_image(view)
            kind, back = ("render on white", (1, 1, 1)) if i % 2 else (
                "render on dark", (0.08, 0.08, 0.08))
            out[kind].append(media.to_uint8(media.over(picture, back)))
    paths = [samples.photo(x) for x in samples.PHOTOS]
    if photos is not None:
        paths += sorted(p for p in photos.rglob("*") if media.is_image(p))
    out["photo"] = [media.to_uint8(media.over(media.read_image(p))) for p in paths]
    return {kind: [resized(x, SIDE) for x in found] for kind, found in out.items()}


def jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


def scaled(rgb: np.ndarray, f: float, how=Image.Resampling.BILINEAR) -> np.ndarray:
    h, w = rgb.shape[:2]
    return np.asarray(Image.fromarray(rgb).resize((round(w * f), round(h * f)), how))


def cropped(rgb: np.ndarray, part: float, rng) -> np.ndarray:
    h, w = rgb.shape[:2]
    ch, cw = round(part * h), round(part * w)
    y, x = rng.integers(0, h - ch + 1), rng.integers(0, w - cw + 1)
    return np.ascontiguousarray(rgb[y:y + ch, x:x + cw])


def filmed(rgb: np.ndarray, payload: int) -> list[np.ndarray]:
    """Return the decoded frames of a marked video in which the picture moves."""
    h, w = (x // 2 * 2 for x in rgb.shape[:2])
    large = cv2.resize(rgb, None, fx=1.08, fy=1.08, interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        with media.video_writer(path, 25, crf=28) as video:
            for i in range(FRAMES):
                video.append(embed(large[i:i + h, 2 * i:2 * i + w], payload))
        return [media.to_uint8(f) for f in media.read_video(path)]


def attacks(rgb: np.ndarray, marked: np.ndarray, payload: int, rng):
    yield "none", detect(marked)
    yield "JPEG quality 50", detect(jpeg(marked, 50))
    yield "half size", detect(scaled(marked, 0.5, Image.Resampling.LANCZOS))
    yield "crop to 90 %", detect(cropped(marked, 0.9, rng))
    frames = filmed(rgb, payload)
    yield "H.264 crf 28", detect_frames(frames)
    yield "screenshot", detect(jpeg(scaled(marked, rng.uniform(0.6, 1.5)), 90))
    yield "(one frame of it alone)", detect(frames[0])
    yield "(half size, JPEG 70)", detect(jpeg(scaled(marked, 0.5), 70))
    yield "(crop to 60 %)", detect(cropped(marked, 0.6, rng))
    yield "(blur, sigma 1)", detect(cv2.GaussianBlur(marked, (0, 0), 1))
    yield "(brightness x 1.2)", detect(np.clip(marked * 1.2, 0, 255).astype(np.uint8))
    yield "(turned by 1 degree)", detect(turned(marked, 1.0))


def turned(rgb: np.ndarray, degrees: float) -> np.ndarray:
    h, w = rgb.shape[:2]
    m = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1)
    return cv2.warpAffine(rgb, m, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def survival(found: dict[str, list[np.ndarray]], rng) -> None:
    for kind, all_of_kind in found.items():
        good: dict[str, list[bool]] = defaultdict(list)
        seen, spent = [], []
        for rgb in all_of_kind:
            payload = int(rng.integers(0, 2**32))
            start = time.perf_counter()
            marked = embed(rgb, payload)
            spent.append((time.perf_counter() - start) * SIDE**2 / rgb[..., 0].size)
            seen.append((psnr(rgb / 255, marked / 255), ssim(rgb / 255, marked / 255)))
            for name, answer in attacks(rgb, marked, payload, rng):
                good[name].append(answer is not None and answer.payload == payload)
        p, s = np.array(seen).T
        print(f"\n{kind}: {len(all_of_kind)} pictures; "
              f"PSNR {p.mean():.1f} dB, least {p.min():.1f}; "
              f"SSIM {s.mean():.4f}, least {s.min():.4f}; "
              f"embedding {1000 * np.median(spent):.0f} ms per 512²")
        for name, right in good.items():
            print(f"  {name:<26} {sum(right):>3} of {len(right)}")


def sizes(found: dict[str, list[np.ndarray]], rng) -> None:
    print("\nshorter side in pixels: payload read after (nothing, JPEG 50, half size)")
    everything = [x for xs in found.values() for x in xs][::3]
    for side in (160, 200, 256, 320, 400):
        right = np.zeros(3)
        for rgb in everything:
            payload = int(rng.integers(0, 2**32))
            marked = embed(resized(rgb, side), payload)
            right += [getattr(detect(x), "payload", None) == payload
                      for x in (marked, jpeg(marked, 50), scaled(marked, 0.5))]
        print(f"  {side:>4}  " + "  ".join(f"{100 * x:.0f} %" for x in right / len(everything)))


def mistakes(found: dict[str, list[np.ndarray]], count: int, rng) -> None:
    everything = [x for xs in found.values() for x in xs]
    wrong = 0
    for i in range(count):
        rgb = everything[i % len(everything)]
        h, w = rgb.shape[:2]
        part = min(1.0, rng.integers(96, SIDE + 1) / min(h, w))
        crop = np.rot90(cropped(rgb, part, rng), rng.integers(0, 4))
        least = 96 / min(crop.shape[:2])
        crop = scaled(np.ascontiguousarray(crop), max(rng.uniform(0.5, 1.0), least))
        answer = detect(crop)
        if answer is not None:
            wrong += 1
            print(f"  found by mistake: {answer}")
    print(f"\nunmarked crops: {wrong} of {count} read as marked")


def main(options: Options) -> None:
    rng = np.random.default_rng(options.seed)
    cv2.setNumThreads(1)
    found = pictures(options.photos)
    count = sum(map(len, found.values()))
    print(f"{cpu_name()}, {cpu_count()} cores, one thread; {count} pictures")
    survival(found, rng)
    sizes(found, rng)
    mistakes(found, options.unmarked, rng)


if __name__ == "__main__":
    main(tyro.cli(Options))
