"""Which views a notebook works on: a list of what there is of the right kind, with a picture."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as w
import numpy as np

from ..data import samples
from ..data.address import Address
from ..data.cameras_picture import cameras_picture
from ..data.dataset import Dataset
from ..data.inputs import mount_drive, open_dataset, open_photo
from ..data.media import read_image, resize_area
from ..data.moments import moves, told_apart
from ..errors import IdfError
from ..inspecting.dataset import inspect_dataset
from .default_inputs import DEMO_PHOTO, demo_swap, thinned
from .fields import IMAGE_FILES, VIDEO_FILES, FileField
from .found_runs import TALKING, VIEWS, FoundRun, describe_run, found_runs
from .kept import Kept
from .own_video import dataset_of_video, put_in
from .widgets import BLANK, LABEL, WIDE, Panel, frames_row, picture_widget, png

VIDEO, PLACE, DEMO = "a video of your own", "a folder, .zip or URL", "demo"
BUNDLED = {VIEWS: ("head_multiview", "head_turntable"), TALKING: ("head_talking",)}


class InputPanel(Panel):
    """Choose what to work on; `run()` returns it as a `Dataset`, also in `data`.

    The list holds the finished runs of one kind under `runs`, the newest first, and says whose face
    each of them shows; then the bundled heads, a video of your own, and any other place.

    kind: "views" of a head that keeps still, or frames of a "talking" head; the other kind is never
    offered. dataset: what is chosen at first: "" = the newest run, a bundled name, or a folder,
    .zip or https URL. video: path of a video of your own, which is then the first choice. photo:
    name or path of the face to put into a video or into the frames of a talking head, "" = none.
    consent: for a photo. resolution: longer side at which an avatar will be trained, pixels.
    frames: at most so many for training; None = all. made: which runs are listed.
    """

    action = "Use this"

    def __init__(self, kind: str, runs="runs", dataset: str = "", video: str = "",
                 photo: str = "", consent: str = "", resolution: int | None = None,
                 frames: int | None = None, made: tuple[str, ...] = ("swap", "own video")):
        self.kind, self.out = kind, mount_drive(runs)
        self.resolution, self.frames = resolution, frames
        self.runs = found_runs(self.out, kind, made) if self.out.is_dir() else []
        dataset = str(dataset).strip()
        listed = dataset in BUNDLED[kind]
        options = [(r.label, str(r.folder)) for r in self.runs]
        if kind == VIEWS:
            options += [(f"the bundled head with the face of photo {DEMO_PHOTO}, swapped now",
                         DEMO)]
        options += [(f"the bundled {name}, with its own face", name) for name in BUNDLED[kind]]
        options += [(VIDEO, VIDEO), (PLACE, PLACE)]
        self.choice = w.Dropdown(options=options, description="Take", style=LABEL, layout=WIDE)
        first = options[0][1] if self.runs or kind == VIEWS else BUNDLED[kind][0]
        self.choice.value = VIDEO if video else dataset if listed else PLACE if dataset else first
        zips = [str(p) for p in (*sorted(Path().glob("*.zip")), *sorted(self.out.glob("*.zip")))]
        self.place = FileField(self.out, "Place", "" if listed else dataset, zips, ".zip",
                               "Upload a .zip", "a folder, a .zip (that of notebook 01, too) or "
                               "an https URL")
        self.video = FileField(self.out, "Video", video, [], VIDEO_FILES, "Upload a video",
                               "a path, on Drive too; an upload is for about 10 MB")
        self.photo = FileField(self.out, "Face to put in", photo, ["B", "C"], IMAGE_FILES,
                               "Upload a photo", "none; or B, C, a path")
        self.consent = w.Textarea(value=consent, description="Consent", style=LABEL, layout=WIDE,
                                  placeholder="With a photo or a video of a person: whose faces "
                                  "are these, and did they agree?")
        self.face_preview = picture_widget(120)
        self.caption, self.result = w.HTML(), picture_widget(1000)
        self.data: Dataset | None = None
        super().__init__()
        self.box.children = [*self.box.children, self.caption, self.result]
        given = {"dataset": dataset, "video": str(video), "photo": str(photo), "consent": consent}
        fields = {"choice": self.choice, "place": self.place.text, "video": self.video.text,
                  "photo": self.photo.text, "consent": self.consent}
        kept, start = Kept(self.out, f"input {kind}", given), self.choice.value
        restored = kept.restore(fields)
        if self.chosen_run is not None and self.runs[0].when > kept.at("choice"):
            self.choice.value = start  # what is newer than the choice counts
        for widget in fields.values():
            widget.observe(self._show, names="value")
        self._show()
        if restored:
            self.write(f"kept from before: {', '.join(restored)}")

    def controls(self) -> list:
        self._face = w.HBox([w.VBox([self.photo.box, self.consent]), self.face_preview])
        return [self.choice, self.place.box, self.video.box, self._face]

    @property
    def chosen_run(self) -> FoundRun | None:
        """The listed run that is chosen; None for another choice."""
        return next((r for r in self.runs if str(r.folder) == self.choice.value), None)

    @property
    def takes_a_face(self) -> bool:
        """Whether a photo's face can be put in: not twice, and not into bundled views."""
        run = self.chosen_run
        if run is not None:
            return run.made != "swap" and self.kind == TALKING
        return self.choice.value == VIDEO or self.kind == TALKING

    def _show(self, change=None) -> None:
        """Show the fields that the choice needs, and a picture of what is chosen."""
        choice = self.choice.value
        for part, on in ((self.place.box, choice == PLACE), (self.video.box, choice == VIDEO),
                         (self._face, self.takes_a_face)):
            part.layout.display = None if on else "none"
        if change is not None:
            self.write("")
        self.face_preview.value = self._face_picture()
        try:
            data = self._at_hand()
        except IdfError as error:  # `run()` raises it
            self.result.value, self.caption.value = BLANK, html.escape(error.what)
            return
        if data is None:
            self.result.value = BLANK
            self.caption.value = "shown when it has been made: press the button, or run the cell"
        else:
            self._picture(data, self._who())

    def _face_picture(self) -> bytes:
        if not self.takes_a_face or not self.photo.value:
            return BLANK
        try:
            image = read_image(open_photo(self.photo.value), "photo")
        except IdfError as error:  # `run()` raises it
            self.write(str(error))
            return BLANK
        return png(resize_area(image, 120, round(120 * image.shape[0] / image.shape[1])))

    def _at_hand(self) -> Dataset | None:
        """Return what can be shown at once; None where it has to be made or fetched first."""
        choice, run = self.choice.value, self.chosen_run
        if run is not None:
            return Dataset.open(run.folder)
        if choice in BUNDLED[self.kind]:
            return samples.dataset(choice)
        if choice == PLACE and self.place.value and Path(
                Address.parse(self.place.value).place).is_dir():
            return self._right(open_dataset(self.place.value))
        return None

    def _right(self, data: Dataset) -> Dataset:
        """Return a dataset of the kind that is asked for. IdfError for the other one."""
        data = told_apart(data) if self.kind == TALKING else data
        talks = moves(data.frames)
        if talks == (self.kind == TALKING):
            return data
        raise IdfError(f"{data.root} is of the other kind",
                       "frames of a talking head, with expressions" if talks
                       else "views of a head that keeps still, without expressions",
                       "use it in notebook 04" if talks else "use it in notebooks 02 and 03")

    def _who(self) -> str:
        """Say what the choice is, and whose face it shows."""
        run = self.chosen_run
        if run is None:
            return dict((v, k) for k, v in self.choice.options)[self.choice.value]
        return run.label

    def _picture(self, data: Dataset, who: str) -> None:
        found, row = inspect_dataset(data), frames_row(data, 120)
        cameras = cameras_picture(data.frames, size=row.shape[1] // 2)
        self.result.value = png(np.concatenate([row[:, :cameras.shape[1]], cameras]))
        said = html.escape(str(found).partition("\n")[2])
        self.caption.value = (
            f"<b>{html.escape(who)}</b><br>{html.escape(data.describe())}"
            + "".join(f"<br>doubt: {html.escape(d)}" for d in found.doubts)
            + f"<details><summary>what was understood</summary><pre>{said}</pre></details>")

    def work(self) -> Dataset:
        """Return the chosen dataset; a video is captured or tracked, a photo's face is put in."""
        # once: the fields can change while this goes on
        choice, who, doubts, overlay = self.choice.value, self._who(), (), None
        photo, called = self.photo.value if self.takes_a_face else "", self.photo.name
        consent = self.consent.value
        if choice == VIDEO:
            if not self.video.value:
                raise IdfError("No video is chosen", "an empty field",
                               "upload a video, or type the path of one")
            filmed = dataset_of_video(mount_drive(self.video.value), self.kind, self.out,
                                      self.resolution, self)
            data, doubts, overlay = filmed.data, filmed.doubts, filmed.overlay
        elif choice == DEMO:
            data = demo_swap(self.out, reporter=self)
        elif choice == PLACE:
            self.write("opening …")
            data = self._right(open_dataset(self.place.value, self.out / "downloads"))
            run = describe_run(data.root) if (data.root / "run.json").is_file() else None
            who = run.label if run is not None else who
            if photo and run is not None and run.made == "swap":
                self.note(f"these frames have a face put in already; that of {called} is left out")
                photo = ""
        else:
            data = self._at_hand()
        data = thinned(data, self.frames)
        if photo:
            prefix = "swap-own" if choice == VIDEO else f"swap-{self.kind}"
            data = put_in(data, open_photo(photo), self.out, consent, prefix, self)
            who, overlay = f"{who}, with the face of {called}", None
        self.data = data
        self._picture(data, who)
        if overlay is not None:
            self.result.value = png(overlay)
        self.write("\n".join([f"{who}: {data.describe()}", *(f"doubt: {d}" for d in doubts)]))
        return data

    def result_key(self) -> object:
        return self.data and (self.data.address or str(self.data.root))

    def still(self) -> np.ndarray | None:
        """Return the picture of what is chosen."""
        return read_image(bytes(self.result.value)) if self.result.value != BLANK else None
