"""Look around any scene in a notebook: the kernel renders, an Image widget shows it.

For scenes that a browser cannot draw itself (radiance fields), and where it lacks WebGL2. As in
nerfview, all it takes is something with `render(camera)`; while a slider moves, requests that come
faster than pictures are dropped, and a slow scene is drawn at half the size until the hand rests.
"""

from __future__ import annotations

import asyncio
import html
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import ipywidgets as w
import numpy as np

from .. import provenance
from ..data.cameras import Camera, SceneFrame, look_at_matrix, scene_frame
from ..data.media import encode_image
from ..errors import IdfError
from ..provenance.marks import LABEL
from ..scene import Scene
from .still import WithStill
from .widgets import RED, picture_widget

PITCH_LIMIT = 85.0
SLOW_S = 0.12   # a picture that takes longer is drawn at half the size while something moves
REST_S = 0.35   # without a change, before the full picture is drawn
SLIDER = {"style": {"description_width": "110px"}, "layout": w.Layout(width="330px")}


class OrbitViewer(WithStill):
    """A picture of `scene` with sliders for the direction.

    cameras: those of the dataset, where the scene does not know them: they tell where it is.
    size: longer side, pixels. label: the visible word in the corner, "" leaves it out.

    After a change by the hand the picture follows by itself; in a cell that sets `yaw.value`,
    `update()` draws at once.
    """
    def __init__(self, scene: Scene, cameras: Sequence[Camera] | None = None, *, size: int = 320,
                 label: str = LABEL):
        cameras = list(scene.cameras if cameras is None else cameras)
        if not cameras:
            raise IdfError("A viewer has to know where the scene is", "a scene without cameras",
                           "give the dataset's: OrbitViewer(scene, data.cameras)")
        self.scene, self.frame, self.label = scene, scene_frame(cameras), label
        self.base = cameras[0].fitted(size)
        self.yaw = w.FloatSlider(0.0, min=-180, max=180, step=1, description="Yaw",
                                 readout_format=".0f", **SLIDER)
        self.pitch = w.FloatSlider(6.0, min=-PITCH_LIMIT, max=PITCH_LIMIT, step=1,
                                   description="Pitch", readout_format=".0f", **SLIDER)
        self.distance = w.FloatSlider(1.0, min=0.4, max=3.0, step=0.05, description="Distance",
                                      readout_format=".2f", **SLIDER)
        self.image = picture_widget(max(self.base.width, self.base.height))
        self.image.format = "jpeg"
        # A draft of half the size is shown as large as the picture.
        self.image.layout.width = f"{self.base.width}px"
        self.status = w.HTML()
        self.picture = LivePicture(self._draw, self._failed)
        for slider in (self.yaw, self.pitch, self.distance):
            slider.observe(lambda _: self.picture.request(), "value")
        controls = w.VBox([self.yaw, self.pitch, self.distance])
        self.box = w.VBox([w.HBox([w.VBox([self.image]), controls],
                                  layout=w.Layout(flex_flow="row wrap")), self.status])
        self.update()

    @property
    def camera(self) -> Camera:
        """Return the camera that the sliders name."""
        return orbit_camera(self.frame, self.base, math.radians(self.yaw.value),
                            math.radians(self.pitch.value),
                            self.frame.distance * self.distance.value)

    def update(self) -> np.ndarray:
        """Draw now at full size and return the picture, (H, W, 3) uint8."""
        self.picture.cancel()
        return self._draw(1.0)

    def _draw(self, scale: float) -> np.ndarray:
        camera = self.camera
        camera = camera.fitted(max(1, round(max(camera.width, camera.height) * scale)))
        rgb = self.scene.render(camera)
        picture = provenance.label(rgb, self.label) if self.label else rgb
        self.image.value = live_jpeg(picture)
        self.status.value = ""
        return picture

    def _failed(self, error: Exception) -> None:
        self.status.value = f'<p style="color:{RED}">{html.escape(str(error))}</p>'


def orbit_camera(frame: SceneFrame, base: Camera, yaw: float, pitch: float,
                 distance: float | None = None, center=None) -> Camera:
    """Return `base` at yaw and pitch (radians) around the frame's center, as orbit.js turns: yaw 0
    is the front and grows counterclockwise seen from above."""
    center = frame.center if center is None else np.asarray(center, np.float64)
    side = np.cross(frame.up, frame.front)
    flat = math.cos(yaw) * frame.front + math.sin(yaw) * side
    back = math.cos(pitch) * flat + math.sin(pitch) * frame.up
    position = center + (frame.distance if distance is None else distance) * back
    return replace(base, c2w=look_at_matrix(position, center, frame.up))


def live_jpeg(picture: np.ndarray) -> bytes:
    """Return a picture of a viewer as the bytes of a JPEG with the mark: a page can save it."""
    return provenance.mark_picture_bytes(encode_image(picture, ".jpg", quality=90), ".jpg",
                                         provenance.Mark("notebook", "picture of a viewer"))


class LivePicture:
    """Calls `draw(scale)` for the newest of many requests.

    Inside a running kernel a request only leaves a note for the event loop, so that a slider's
    messages are read faster than pictures are made; elsewhere it draws at once. draw: takes the
    share of the full size, 1 or 1/2. failed: takes what a later draw raised, which is then raised
    into the kernel's log.
    """

    def __init__(self, draw: Callable[[float], object], failed: Callable[[Exception], None]):
        self._call, self._failed = draw, failed
        self._next = self._rest = None
        self.seconds = 0.0   # the last full picture took

    def request(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._now(1.0)
            return
        if self._rest:
            self._rest.cancel()
            self._rest = None
        if self._next is None:  # a pause as long as a picture leaves time to read the messages
            self._next = loop.call_later(min(0.1, 0.02 + 0.3 * self.seconds), self._soon, loop)

    def cancel(self) -> None:
        for timer in (self._next, self._rest):
            if timer:
                timer.cancel()
        self._next = self._rest = None

    def _soon(self, loop) -> None:
        self._next = None
        draft = self.seconds > SLOW_S
        self._now(0.5 if draft else 1.0)
        if draft:
            self._rest = loop.call_later(REST_S, self._now, 1.0)

    def _now(self, scale: float) -> None:
        start = time.perf_counter()
        try:
            self._call(scale)
        except Exception as error:
            self._failed(error)
            raise
        if scale == 1.0:
            self.seconds = time.perf_counter() - start
