"""Two painted textures of this project's own, as styles for the stylist `neural`.

python assets/styles/make.py                    writes swirls.jpg and ink.jpg, 512 x 512
python assets/styles/make.py fixed              writes assets/readme/styles.jpg, the bundled head in
                                                all styles of `idf download neural_style`

swirls: short thick strokes of oil that follow eddies, gold lights in blue, lit from the upper left.
ink:    washes with dark rims on paper, strokes of a drying brush along a wind, a little red.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).resolve().parent
SIZE = 512
EDDIES = ((0.30, 0.32, 0.17, 1), (0.74, 0.24, 0.12, -1), (0.60, 0.62, 0.19, -1),
          (0.16, 0.74, 0.11, 1), (0.88, 0.84, 0.12, 1))  # x, y, radius, turn
LIGHTS = ((0.74, 0.24), (0.16, 0.74), (0.30, 0.32))  # centers of eddies that glow
DEEP, BLUE, PALE, GOLD, CREAM, TEAL = (np.array(c, np.float32) for c in (
    (18, 26, 72), (38, 82, 160), (130, 176, 214), (236, 176, 44), (252, 232, 160),
    (24, 104, 112)))


def noise(rng: np.random.Generator, cell: float, size: int = SIZE) -> np.ndarray:
    """Smooth (size, size) float32 noise, mean 0 and deviation 1; cell: its grain in pixels."""
    out = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), cell)
    return (out - out.mean()) / out.std()


def eddy_flow(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 2) unit vectors: a wind from the left that curls around EDDIES."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    angle = 0.35 * noise(rng, 60)
    u, v = np.cos(angle), np.sin(angle) + 0.3 * np.sin(6 * x)
    for cx, cy, radius, turn in EDDIES:
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) + 1e-3
        pull = 4 * np.exp(-(r / radius) ** 2)
        u, v = u - pull * turn * dy / r, v + pull * turn * dx / r
    flow = np.stack([u, v], -1)
    return flow / np.linalg.norm(flow, axis=-1, keepdims=True)


def night_colors(rng: np.random.Generator) -> np.ndarray:
    """(SIZE, SIZE, 3) float32 in 0..255: what the strokes take their colors from."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE
    level = np.clip(0.5 + 0.28 * noise(rng, 24) - 0.25 * (y - 0.5), 0, 1)[..., None]
    out = np.where(level < 0.5, DEEP + (BLUE - DEEP) * 2 * level,
                   BLUE + (PALE - BLUE) * (2 * level - 1))
    green = np.clip(noise(rng, 30) - 0.8, 0, 1)[..., None]
    out = out + green * (TEAL - out)
    for cx, cy in LIGHTS:
        r = np.hypot(x - cx, y - cy)[..., None]
        rings = 0.5 + 0.5 * np.cos(r * 95)
        glow = np.exp(-(r / 0.1) ** 2) * (0.55 + 0.45 * rings)
        core = np.exp(-(r / 0.035) ** 2)
        out = out + glow * (GOLD - out)
        out = out + core * (CREAM - out)
    return out.astype(np.float32)


def trail(flow: np.ndarray, start: np.ndarray, steps: int, step: float = 3.0) -> np.ndarray:
    """(steps, 2) points along the flow, pixels."""
    points = [start]
    for _ in range(steps - 1):
        x, y = np.clip(points[-1], 0, SIZE - 1).astype(int)
        points.append(points[-1] + step * flow[y, x])
    return np.array(points, np.float32)


def relief(color: np.ndarray, height: np.ndarray, depth: float) -> np.ndarray:
    """The picture with its height lit from the upper left."""
    soft = cv2.GaussianBlur(height, (0, 0), 0.8)
    slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) + cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    return np.clip(color - depth * slope[..., None], 0, 255)


def swirls(seed: int = 4) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: oil in eddies."""
    rng = np.random.default_rng(seed)
    flow, colors = eddy_flow(rng), night_colors(rng)
    picture = cv2.GaussianBlur(colors, (0, 0), 6)
    height = np.zeros((SIZE, SIZE), np.float32)
    for width, steps, count in ((11, 14, 1500), (8, 10, 2600), (5, 7, 3000)):
        for start in rng.uniform(0, SIZE, (count, 2)).astype(np.float32):
            path = trail(flow, start, steps)
            x, y = start.astype(int)
            hue = np.clip(colors[y, x] * rng.uniform(0.75, 1.25) + rng.normal(0, 10, 3), 0, 255)
            level = float(rng.uniform(0.3, 1))
            across = np.array([-flow[y, x][1], flow[y, x][0]])
            for bristle in np.linspace(-0.4, 0.4, max(3, width // 2)) * width:
                line = (8 * (path + across * bristle)).astype(np.int32)[None]
                tone = np.clip(hue + rng.normal(0, 9), 0, 255)
                cv2.polylines(picture, line, False, tone.tolist(), 2, cv2.LINE_AA, 3)
                cv2.polylines(height, line, False, level * float(rng.uniform(0.6, 1)), 1,
                              cv2.LINE_AA, 3)
    return relief(picture, height, 13).astype(np.uint8)


def ink(seed: int = 11) -> np.ndarray:
    """(SIZE, SIZE, 3) uint8: ink on paper."""
    rng = np.random.default_rng(seed)
    fiber = 0.6 * noise(rng, 1.2) + 0.4 * noise(rng, 5)
    paper = np.array((243, 234, 214), np.float32) + 3.0 * fiber[..., None]
    dark = np.zeros((SIZE, SIZE), np.float32)
    for grain, share, edge in ((52, 0.34, 0.30), (30, 0.30, 0.34), (15, 0.30, 0.40)):
        field = noise(rng, grain) + 0.16 * noise(rng, 4)
        wet = np.clip((field - 0.35) * 9, 0, 1)  # where the wash lies
        rim = np.exp(-((field - 0.42) * 9) ** 2)  # ink gathers where it dries last
        dark += share * wet * (0.55 + 0.45 * np.clip(noise(rng, 18), -1, 1)) + edge * rim * wet
    angle = -0.5 + 0.7 * noise(rng, 70)
    flow = np.stack([np.cos(angle), np.sin(angle)], -1)
    strokes = np.zeros((SIZE, SIZE), np.float32)
    for start in rng.uniform(0, SIZE, (70, 2)).astype(np.float32):
        path = trail(flow, start, int(rng.integers(14, 46)), 4.0)
        x, y = start.astype(int)
        across, width = np.array([-flow[y, x][1], flow[y, x][0]]), rng.uniform(3, 11)
        for bristle in np.linspace(-0.5, 0.5, 14) * width:
            end = int(len(path) * rng.uniform(0.35, 1))  # bristles run dry one by one
            taper = np.linspace(1, 0.4, len(path))[:, None]
            line = (8 * (path + across * bristle * taper)).astype(np.int32)[None, :end]
            cv2.polylines(strokes, line, False, float(rng.uniform(0.55, 1)), 1, cv2.LINE_AA, 3)
    dry = np.clip(1.15 - 0.45 * np.clip(fiber, 0, 2), 0, 1)  # paper shows through a dry brush
    dark = np.clip(dark, 0, 0.9)
    dark = dark + (1 - dark) * np.clip(1.2 * strokes * dry, 0, 1)
    black = np.array((20, 24, 36), np.float32)
    picture = paper + np.clip(dark, 0, 1)[..., None] * (black - paper)
    red = np.clip((noise(rng, 20) - 1.5) * 6, 0, 1)[..., None] * (1 - 0.6 * dark[..., None])
    picture += 0.85 * red * (np.array((196, 52, 32), np.float32) - picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def fixed(path: Path) -> None:
    """Write the bundled head in each of the 26 fixed styles, with their numbers."""
    sys.path.insert(0, str(HERE.parents[1]))
    from idf_helpers import provenance
    from idf_helpers.data import samples
    from idf_helpers.data.contact_sheet import contact_sheet
    from idf_helpers.data.media import write_image
    from idf_helpers.provenance.lineage import TRAINED_COMPOSITE, mark_of
    from idf_helpers.stylization.config import NeuralConfig
    from idf_helpers.stylization.methods import open_stylist
    from idf_helpers.stylization.views import DatasetViews

    data = samples.dataset("head_turntable")
    views = DatasetViews(data)
    shown, pictures = views[len(views) // 12], []
    for number in range(26):
        stylist = open_stylist("neural", NeuralConfig(style=(str(number),)))
        stylist.prepare([views[k] for k in range(0, len(views), len(views) // 8)])
        rgb = stylist.stylize(shown)[:, 50:290]
        pictures.append(np.dstack([rgb, shown.mask[:, 50:290]]))
    sheet = contact_sheet(pictures, columns=9, cell=150, captions=[str(n) for n in range(26)])
    with provenance.marked(path, mark_of(data, "", "restyled views", TRAINED_COMPOSITE)) as file:
        write_image(file, sheet)


def write(path: Path, picture: np.ndarray) -> None:
    """Write a JPEG."""
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]),
                [cv2.IMWRITE_JPEG_QUALITY, 86])


def main() -> None:
    if sys.argv[1:] == ["fixed"]:
        fixed(HERE.parent / "readme" / "styles.jpg")
        return
    for name, picture in (("swirls", swirls()), ("ink", ink())):
        write(HERE / f"{name}.jpg", picture)


if __name__ == "__main__":
    main()
