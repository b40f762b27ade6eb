"""`idf track`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ..errors import IdfError
from ..tracking.config import TrackConfig
from .shared import Flat


def track(source: Positional[Path], out: Path,
          config: Annotated[TrackConfig, Flat] = TrackConfig(),  # noqa: B008
          task: Path | None = None, background: Path | None = None,
          from_: Annotated[Literal["video", "insta", "vhap"], arg(name="from")] = "video",
          resume: bool = True) -> None:
    """Track the face in a video: a dataset with head pose and expression in every frame.

    Args:
        source: video, folder of pictures, or with --from the folder that another tracker exported.
        out: run folder, itself a dataset afterwards; overlay.mp4 shows how well the mesh fits.
        task: a MediaPipe face_landmarker.task of yours, used in place of the embedded model.
        background: picture of the room without the person.
        from_: insta or vhap: import that tracker's export instead of tracking.
        resume: go on with an unfinished run of the same settings; --no-resume starts it again.
    """
    from ..runtime.files import read_record
    from ..runtime.progress import Line

    if from_ != "video":
        from ..tracking.importers import import_tracked

        if task or background or config != TrackConfig():
            raise IdfError("An import takes no tracker settings", f"--from {from_}",
                           "leave the other options out")
        print(import_tracked(source, out, from_, resume).describe())
        return
    from ..tracking.track import track

    line = Line()
    dataset = track(source, out, config, task=task, background=background, resume=resume,
                    progress=line)
    line.close()
    report = read_record(out / "track_report.json", ("frames", "used", "fov", "error_percent"),
                         "report")
    print(f"{report['used']} of {report['frames']} frames used; field of view "
          f"{report['fov']:.0f}° ({report['fov_from']}); median error "
          f"{report['error_percent']:.1f} % of the face's width\n{dataset.describe()}")
    for name in ("without_face", "not_fitting"):
        if report[name]:
            print(f"  left out, {name.replace('_', ' ')}: {len(report[name])} frames")

