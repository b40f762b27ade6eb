"""A video of one's own in notebooks 02 and 04: found, made into a dataset, swapped if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import ipywidgets as w

from ..capturing.capture import capture
from ..data.contact_sheet import contact_sheet
from ..data.dataset import Dataset
from ..data.footage import Source
from ..data.inputs import mount_drive, open_photo
from ..data.media import read_image
from ..making.probe import look_at
from ..reconstruction.sequence_of import as_sequence
from ..runtime.files import read_json, sha256_bytes, stable_hash, write_bytes
from ..swapping.config import SwapConfig
from ..swapping.dataset import swap_dataset
from ..swapping.job import photo_bytes
from .default_inputs import fetch_face_models
from .widgets import BLANK, LABEL, WIDE, Panel, picture_widget, png, uploaded_files

STAGES = {"turn": "capture", "talk": "track"}


class OwnVideoPanel(Panel):
    """Take a video of one's own; with none chosen, `run()` does nothing and returns None.

    kind: "turn" for a video or folder of photos round a still head, whose cameras are found;
    "talk" for a talking head, which is tracked. out: folder for the runs. video: path. photo: path
    or bundled name of the face to put in, "" = none. consent: for a photo. resolution: longer side
    at which an avatar will be trained, pixels.
    """

    action = "Use my video"

    def __init__(self, kind: Literal["turn", "talk"], out="runs", video: str = "",
                 photo: str = "", consent: str = "", resolution: int | None = None):
        self.kind, self.out, self.resolution = kind, Path(out), resolution
        self.video = w.Text(value=str(video), description="Video", style=LABEL, layout=WIDE,
                            placeholder="a path, on Drive too; an upload is for about 10 MB",
                            continuous_update=False)
        self.photo = w.Text(value=str(photo), description="Face to put in", style=LABEL,
                            layout=WIDE, placeholder="none, or a path, B or C",
                            continuous_update=False)
        self.consent = w.Textarea(value=consent, description="Consent", style=LABEL, layout=WIDE,
                                  placeholder="With a photo: whose faces are these, and did they "
                                  "agree?")
        button = w.Layout(width="200px")
        self.video_upload = w.FileUpload(accept="video/*", multiple=False, layout=button,
                                         description="Upload a video")
        self.photo_upload = w.FileUpload(accept="image/*", multiple=False, layout=button,
                                         description="Upload a photo")
        self.result = picture_widget(1000)
        self.data: Dataset | None = None
        super().__init__()
        self.box.children = [*self.box.children, self.result]

    def controls(self) -> list:
        return [w.HBox([self.video_upload, self.photo_upload]), self.video, self.photo,
                self.consent]

    @property
    def source(self) -> Path | None:
        """The video: the upload, written under `out`, else the path; None where there is none."""
        for name, content in uploaded_files(self.video_upload).items():
            path = self.out / "uploads" / f"{sha256_bytes(content)[:8]}-{Path(name).name}"
            if not path.is_file():
                write_bytes(path, content)
            return path
        text = self.video.value.strip()
        if not text:
            return None
        mount_drive(text)
        return Path(text).expanduser()

    @property
    def face(self) -> bytes | Path | None:
        """The photo: the upload, else what is typed; None where there is none."""
        for content in uploaded_files(self.photo_upload).values():
            return content
        return open_photo(self.photo.value) if self.photo.value.strip() else None

    def work(self) -> Dataset | None:
        """Make a dataset of the video and swap the face of the photo in, or read back what is
        finished; None where no video is given."""
        source, face = self.source, self.face
        if source is None:
            self.write("no video is given: the notebook goes on with the bundled head")
            return None
        self.result.value = BLANK
        fetch_face_models()
        key = stable_hash([Source(source).fingerprint(), self.resolution])[:8]
        folder = self.out / f"{STAGES[self.kind]}-{key}"
        look, _ = look_at(Source(source), self.kind, self)
        data = capture(source, folder, reporter=self) if self.kind == "turn" else \
            as_sequence(source, folder, self.resolution, crop=look.crop, reporter=self)
        report = read_json(folder / f"{STAGES[self.kind]}_report.json", "report")
        if face is not None:
            config = SwapConfig()
            swap = stable_hash([data.fingerprint(), sha256_bytes(photo_bytes(face)),
                                str(config), self.consent.value])[:8]
            data = swap_dataset(data, face, self.out / f"swap-own-{swap}", config,
                                consent=self.consent.value, reporter=self)
        self.data = data
        pictures = data.frames[::max(1, len(data.frames) // 8)][:8]
        self.result.value = png(contact_sheet([f.image() for f in pictures], 8, 120)
                                if face is not None or not (folder / "overlay.jpg").is_file()
                                else read_image(folder / "overlay.jpg"))
        doubts = [f"doubt: {text}" for text in (*look.doubts, *report.get("doubts", ()))]
        self.write("\n".join([f"{data.describe()}; written to {data.root}", *doubts]))
        return data
