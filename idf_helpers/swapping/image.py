"""The swap of one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .. import provenance
from ..data.media import encode_image, read_stored
from ..errors import IdfError
from ..runtime.files import sha256_file
from ..runtime.progress import Reporter
from .config import SwapConfig
from .job import SwapJob


def swap_image(picture, source, out, config: SwapConfig | None = None, *, consent: str = "",
               resume: bool = True, reporter: Reporter | None = None) -> Path:
    """Swap the face of `source` into one picture (a path); return `out/<name>.png`, in
    the picture's own colors where it has an RGB profile (Display P3). Nothing else of its metadata
    is copied: no place, no camera, no names.

    IdfError as for `swap_dataset`, and where the picture shows no face.
    """
    picture = Path(picture)
    image, stored = read_stored(picture, "target picture")
    job = SwapJob.of(source, config, consent, [picture], {"picture_sha256": sha256_file(picture)})
    if stored:  # written in the colors it came in
        job = replace(job, media=tuple(
            note.replace("are converted to sRGB", "are kept") for note in job.media))
    with job.run_folder(out, "swap-image", resume) as run:
        path = run.path / f"{picture.stem}.png"
        if run.finished and path.is_file():
            return path
        swapper = job.method.prepare([], job.sources, None, reporter or Reporter(), job.config)
        result = swapper(image, None)
        row = {"status": result.status, "reason": result.reason, "sources": result.sources,
               "in_front": result.in_front}
        if result.status != "swapped" and job.config.reference:
            raise job.nothing_swapped(picture, [row])
        if result.status != "swapped":
            raise IdfError(f"{picture} was not swapped", f"{result.status}: {result.reason}",
                           "use a picture with one clear face, at least 64 pixels wide")
        record = job.keep_consent(run)
        mark = job.mark(run, swapper, record)
        made = stored.back(result.image) if stored else result.image
        with provenance.marked(path, mark) as temporary:
            temporary.write_bytes(encode_image(mark.watermarked(made),
                                               profile=stored.profile if stored else b""))
        run.finish({"status": result.status}, why=job.why, consent=record.digest,
                   source_type=mark.source_type,
                   **job.notes(swapper, [row]))
    return path
