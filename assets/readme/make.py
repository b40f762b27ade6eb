"""The README's pictures, from a finished demo run: python assets/readme/make.py runs/demo"""

import sys
from pathlib import Path

from idf_helpers import Dataset, provenance, samples
from idf_helpers.media import over, read_image, resize_area, to_uint8, write_image
from idf_helpers.splats.run import load_scene, mark_of_model
from idf_helpers.view.run import frames_by_yaw
from idf_helpers.view.sheet import contact_sheet

HERE = Path(__file__).resolve().parent
CELL = 220


def main(demo: Path) -> None:
    what = mark_of_model(demo / "splats")
    photo = resize_area(read_image(samples.photo("C")), CELL, CELL)
    write_image(HERE / "source.jpg", photo)
    target = samples.dataset("head_multiview")
    yaws = (-60, 0, 60)
    before = [f.image() for _, f in frames_by_yaw(target.frames, yaws)]
    write_image(HERE / "target.jpg", contact_sheet(before, columns=3, cell=CELL))
    scene = load_scene(demo / "splats")
    cameras = [f.camera.fitted(400) for _, f in frames_by_yaw(target.frames, yaws)]
    write_image(HERE / "avatar.jpg", provenance.label(
        contact_sheet([scene.render(c) for c in cameras], columns=3, cell=CELL)))
    swapped = {f.name: f.image() for f in Dataset.open(demo / "swap").frames}
    strip = frames_by_yaw(target.frames, (-90, -60, -30, 0, 30, 60, 90))
    write_image(HERE / "swap.jpg", contact_sheet(
        [to_uint8(over(p)) for p in [f.image() for _, f in strip]
         + [swapped[f.name] for _, f in strip]], columns=len(strip), cell=150))
    for name in ("avatar.jpg", "swap.jpg"):
        provenance.mark(HERE / name, what)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
