"""The README's pictures.

    python assets/readme/make.py [--demo runs/demo --avatar RUN] [--loops ITER_FOLDER ...]

hero.webp, the moving picture, shows the demo's photo, the head of a finished demo run as it turns,
and the avatar of a run of `idf avatar head_talking --swap PHOTO` with the same photo; faces.jpg
shows that avatar's expressions, loop.jpg looks from folders NAME/iterN/ of `idf loop`. Each is left
as it is without its runs. The strips of swapped heads are made anew.
"""

import argparse
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from idf_helpers import provenance
from idf_helpers.cli.demo import demo
from idf_helpers.data import samples
from idf_helpers.data.cameras import look_at_matrix, orbit, scene_frame
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.data.media import read_image, resize_area, to_uint8, write_image
from idf_helpers.data.sequence import frames_by_yaw
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.model import Model
from idf_helpers.notebook.video_panel import swap_clip
from idf_helpers.reconstruction import load, mark_of_model
from idf_helpers.reconstruction.avatar.pictures import known_edits, tour
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.head_bend import toward_sources
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.source import load_source
from idf_helpers.swapping.uv_method import fit_views

HERE = Path(__file__).resolve().parent
PHOTO = demo.__defaults__[1]  # the bundled photo that the demo takes
PANEL, GAP, BAR = 284, 24, 34  # pixels: a part of the moving picture, between, and its words
FRAMES, MILLISECONDS = 72, 80
INK = (40, 44, 48)


def text(image: np.ndarray, words: str, place, size: int, color=INK, anchor="mm") -> np.ndarray:
    """A copy with words on it."""
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text(place, words, color, ImageFont.load_default(size), anchor)
    return np.asarray(picture)


def moving_picture(head: Path, avatar: Path) -> None:
    """hero.webp: photo, turning head, moving face, side by side."""
    photo = resize_area(read_image(samples.photo(PHOTO))[..., :3], PANEL, PANEL)
    scene, face = Model.open(head).trimmed(ExportConfig()).scene, load(avatar)
    place, base = scene_frame(scene.cameras), scene.cameras[0].fitted(PANEL)
    side = np.cross(place.up, place.front)
    words = ("one photo", "a 3D head that turns", "a face that moves")
    frames = []
    for k, (camera, expression) in enumerate(tour(face, FRAMES, PANEL)):
        angle = math.radians(72) * math.sin(2 * math.pi * k / FRAMES)
        way = math.cos(angle) * place.front + math.sin(angle) * side + 0.1 * place.up
        turned = replace(base, c2w=look_at_matrix(
            place.center + place.distance * way / np.linalg.norm(way), place.center, place.up))
        parts = [photo, provenance.label(scene.render(turned, None, (1.0, 1.0, 1.0))),
                 provenance.label(face.render(camera, expression))]
        width = 3 * PANEL + 2 * GAP
        frame = np.full((PANEL + BAR, width, 3), 255, np.uint8)
        for i, (part, name) in enumerate(zip(parts, words, strict=True)):
            x = i * (PANEL + GAP)
            frame[:PANEL, x:x + PANEL] = resize_area(to_uint8(part), PANEL, PANEL)
            frame = text(frame, name, (x + PANEL / 2, PANEL + BAR / 2), 17).copy()
            if i:
                frame = text(frame, "›", (x - GAP / 2, PANEL / 2), 40).copy()
        frames.append(Image.fromarray(frame))
    mark = mark_of_model(head)
    with provenance.marked(HERE / "hero.webp", mark) as temporary:
        frames[0].save(temporary, "WEBP", save_all=True, append_images=frames[1:], loop=0,
                       duration=MILLISECONDS, quality=88, method=6, xmp=mark.xmp().encode())


def strips(folder: Path) -> None:
    """swap.jpg: head A, and with the faces of B and C; talk.jpg: a video before and after."""
    target = samples.dataset("head_multiview")
    chosen = frames_by_yaw(target.frames, (-90, -60, -30, 0, 30, 60, 90))
    pictures = [f.image() for _, f in chosen]
    mesh, looked_at, irises = fit_views(target.frames, Reporter())
    for name in ("B", "C"):
        source = load_source(samples.photo(name))
        texture = bake(mesh, looked_at, source, irises=irises)
        shape = toward_sources(mesh, [source], frames=target.frames)
        pictures += [render_swap(f.image(), f.camera, mesh, texture, shape).image
                     for _, f in chosen]
    # Without the empty rims, the faces are larger.
    pictures = [p[20:280, 30:290] for p in pictures]
    n = len(chosen)
    for k, name in enumerate(("", "B", "C")):  # the photo in front of its row
        photo = read_image(samples.photo(name)) if name else np.zeros((8, 8, 4), np.uint8)
        pictures.insert(k * (n + 1), photo)
    mark = provenance.Mark("readme", "face swap (uv)")
    sheet = contact_sheet(pictures, columns=1 + n, cell=150,
                          rows=["the head", "photo B on it", "photo C on it"])
    with provenance.marked(HERE / "swap.jpg", mark) as temporary:
        write_image(temporary, sheet)
    clip, video = swap_clip("", PHOTO, folder)
    rows = []
    for path in (clip, video):
        index = index_video(path)
        rows += [next(read_frames(path, index, int(n), int(n) + 1)).copy()
                 for n in np.linspace(4, len(index) - 1, 7)]
    with provenance.marked(HERE / "talk.jpg", mark) as temporary:
        write_image(temporary, contact_sheet(rows, columns=7, cell=150,
                                             rows=["before", f"photo {PHOTO} on it"]))


def expressions(run: Path) -> None:
    """faces.jpg: an avatar at rest and with some expressions."""
    scene = load(run)
    edits = [("at rest", None), *known_edits(scene.basis)]
    pictures = [scene.render(scene.front.fitted(224), e) for _, e in edits]
    pictures[0] = provenance.label(pictures[0])
    with provenance.marked(HERE / "faces.jpg", mark_of_model(run)) as temporary:
        write_image(temporary, contact_sheet(pictures, len(edits), 200, [n for n, _ in edits]))


def looks(loops: list[Path]) -> None:
    """loop.jpg: restyled heads from all round, a row a loop, named by the folder of its iterN."""
    pictures = []
    for folder in loops:
        scene = load(folder / "model")
        row = [scene.render(c, None, (1.0, 1.0, 1.0)) for c in orbit(scene.cameras, 7,
                                                                     resolution=150)]
        pictures += [provenance.label(row[0]), *row[1:]]
    names = [folder.parent.name.replace("_", " ") for folder in loops]
    with provenance.marked(HERE / "loop.jpg", mark_of_model(loops[0] / "model")) as temporary:
        write_image(temporary, contact_sheet(pictures, columns=7, cell=150, rows=names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path)
    parser.add_argument("--avatar", type=Path)
    parser.add_argument("--loops", type=Path, nargs="+")
    args = parser.parse_args()
    if args.demo and args.avatar:
        moving_picture(args.demo / "splats", args.avatar)
    if args.avatar:
        expressions(args.avatar)
    if args.loops:
        looks(args.loops)
    with tempfile.TemporaryDirectory() as work:
        strips(Path(work))


if __name__ == "__main__":
    main()
