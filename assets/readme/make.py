"""The README's pictures.

    python assets/readme/make.py [--demo runs/demo] [--avatar RUN] [--loops ITER_FOLDER ...]

Source, target and avatar come from a finished demo run, the expressions from a run of `idf avatar`,
the looks from folders iterN/ of `idf loop`; each is left as it is without. The strips of swapped
heads are made anew.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from idf_helpers import provenance
from idf_helpers.data import samples
from idf_helpers.data.cameras import orbit
from idf_helpers.data.clips import index_video, read_frames
from idf_helpers.data.contact_sheet import contact_sheet
from idf_helpers.data.media import over, read_image, resize_area, to_uint8, write_image
from idf_helpers.data.sequence import frames_by_yaw
from idf_helpers.notebook.video_panel import swap_clip
from idf_helpers.reconstruction import load, mark_of_model
from idf_helpers.reconstruction.avatar.pictures import edit_strip
from idf_helpers.runtime.progress import Reporter
from idf_helpers.swapping.mesh.bake import bake
from idf_helpers.swapping.mesh.head_bend import toward_sources
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.source import load_source
from idf_helpers.swapping.uv_method import fit_views

HERE = Path(__file__).resolve().parent
CELL = 220


def from_demo(demo: Path) -> None:
    photo = resize_area(read_image(samples.photo("C")), CELL, CELL)
    write_image(HERE / "source.jpg", photo)
    target = samples.dataset("head_multiview")
    yaws = (-60, 0, 60)
    before = [f.image() for _, f in frames_by_yaw(target.frames, yaws)]
    write_image(HERE / "target.jpg", contact_sheet(before, columns=3, cell=CELL))
    scene = load(demo / "splats")
    cameras = [f.camera.fitted(400) for _, f in frames_by_yaw(target.frames, yaws)]
    with provenance.marked(HERE / "avatar.jpg", mark_of_model(demo / "splats")) as temporary:
        write_image(temporary, provenance.label(
            contact_sheet([scene.render(c) for c in cameras], columns=3, cell=CELL)))


def strips(folder: Path) -> None:
    """swap.jpg: head A, and with the faces of B and C; talk.jpg: a video before and after."""
    target = samples.dataset("head_multiview")
    chosen = frames_by_yaw(target.frames, (-90, -60, -30, 0, 30, 60, 90))
    pictures = [f.image() for _, f in chosen]
    mesh, looked_at, irises = fit_views(target.frames, Reporter())
    for name in ("C", "B"):
        source = load_source(samples.photo(name))
        texture = bake(mesh, looked_at, source, irises=irises)
        shape = toward_sources(mesh, [source], frames=target.frames)
        pictures += [render_swap(f.image(), f.camera, mesh, texture, shape).image
                     for _, f in chosen]
    # Without the empty rims, the faces are larger.
    pictures = [to_uint8(over(p))[20:280, 30:290] for p in pictures]
    mark = provenance.Mark("readme", "face swap (uv)")
    with provenance.marked(HERE / "swap.jpg", mark) as temporary:
        write_image(temporary, contact_sheet(pictures, columns=len(chosen), cell=150))
    clip, video = swap_clip("", "C", folder)
    rows = []
    for path in (clip, video):
        index = index_video(path)
        rows += [next(read_frames(path, index, int(n), int(n) + 1)).copy()
                 for n in np.linspace(4, len(index) - 1, 7)]
    with provenance.marked(HERE / "talk.jpg", mark) as temporary:
        write_image(temporary, contact_sheet(rows, columns=7, cell=150))


def expressions(run: Path) -> None:
    """faces.jpg: an avatar at rest and with some expressions."""
    with provenance.marked(HERE / "faces.jpg", mark_of_model(run)) as temporary:
        write_image(temporary, provenance.label(
            edit_strip(load(run), resolution=224)))


def looks(loops: list[Path]) -> None:
    """loop.jpg: restyled heads from all round, a row a loop."""
    pictures = []
    for folder in loops:
        scene = load(folder / "model")
        pictures += [scene.render(c) for c in orbit(scene.cameras, 7, resolution=150)]
    with provenance.marked(HERE / "loop.jpg", mark_of_model(loops[0] / "model")) as temporary:
        write_image(temporary, contact_sheet(pictures, columns=7, cell=150))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", type=Path)
    parser.add_argument("--avatar", type=Path)
    parser.add_argument("--loops", type=Path, nargs="+")
    args = parser.parse_args()
    if args.demo:
        from_demo(args.demo)
    if args.avatar:
        expressions(args.avatar)
    if args.loops:
        looks(args.loops)
    with tempfile.TemporaryDirectory() as work:
        strips(Path(work))


if __name__ == "__main__":
    main()
