"""The README's pictures: python assets/readme/make.py [runs/demo]

Source, target and avatar come from a finished demo run and are left as they are without one; the
strips of swapped heads are made anew.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from idf_helpers import provenance, samples
from idf_helpers.clips import index_video, read_frames
from idf_helpers.media import over, read_image, resize_area, to_uint8, write_image
from idf_helpers.splats.run import load_scene, mark_of_model
from idf_helpers.swap.source import load_source
from idf_helpers.swap.swappers import fit_views
from idf_helpers.swap.uv import bake, render_swap
from idf_helpers.view.run import frames_by_yaw
from idf_helpers.view.sheet import contact_sheet
from idf_helpers.view.video_panel import swap_clip

HERE = Path(__file__).resolve().parent
CELL = 220


def from_demo(demo: Path) -> None:
    photo = resize_area(read_image(samples.photo("C")), CELL, CELL)
    write_image(HERE / "source.jpg", photo)
    target = samples.dataset("head_multiview")
    yaws = (-60, 0, 60)
    before = [f.image() for _, f in frames_by_yaw(target.frames, yaws)]
    write_image(HERE / "target.jpg", contact_sheet(before, columns=3, cell=CELL))
    scene = load_scene(demo / "splats")
    cameras = [f.camera.fitted(400) for _, f in frames_by_yaw(target.frames, yaws)]
    with provenance.marked(HERE / "avatar.jpg", mark_of_model(demo / "splats")) as temporary:
        write_image(temporary, provenance.label(
            contact_sheet([scene.render(c) for c in cameras], columns=3, cell=CELL)))


def strips(folder: Path) -> None:
    """swap.jpg: head A, and with the faces of B and C; talk.jpg: a video before and after."""
    target = samples.dataset("head_multiview")
    chosen = frames_by_yaw(target.frames, (-90, -60, -30, 0, 30, 60, 90))
    pictures = [f.image() for _, f in chosen]
    mesh, looked_at = fit_views(target.frames, lambda step, fraction: None)
    for name in ("C", "B"):
        texture = bake(mesh, looked_at, load_source(samples.photo(name)))
        pictures += [render_swap(f.image(), f.camera, mesh, texture).image for _, f in chosen]
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        from_demo(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as work:
        strips(Path(work))
