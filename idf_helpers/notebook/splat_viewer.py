"""Splats and avatars in a notebook, drawn by the browser: the exported page as a widget.

The same modules as the offline page (`static/`) in an anywidget, so it runs in JupyterLab, the
classic notebook and Colab, without a network of its own. The splats are sent once; turning the
head and moving its face ask nothing of the kernel, which only gets to know where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anywidget
import numpy as np
import traitlets as t

from .. import provenance
from ..data.cameras import Camera, scene_frame
from ..data.media import to_uint8
from ..errors import IdfError
from ..exporting.avatar_payload import STYLE, Track
from ..exporting.html import cell_html, cell_module
from ..exporting.payload import ViewerPayload
from ..provenance.marks import LABEL
from ..scene import Expressive, HasGaussians
from .orbit_viewer import LivePicture, live_jpeg, orbit_camera
from .still import WithStill

PICTURE_SIZE = 360  # longer side of what the kernel renders for a browser that cannot, pixels
KEYS, SECONDS, LARGEST = 64, 600, 1000  # of a timeline, as in static/timeline.js
BEHIND = {False: (0.14, 0.15, 0.16), True: (1.0, 1.0, 1.0)}  # those pictures: dark or light page


class SplatViewer(WithStill, anywidget.AnyWidget):
    """A 3D view of a scene of splats; of restyled ones with a slider for the style, of an avatar
    with the sliders of its face.

    cameras: those of the dataset where the scene does not know them. label, title, note: as of
    `html.write_viewer`. mark: `provenance.Mark.text` of the scene, for pictures and videos that are
    saved from it. height: of the widget, pixels. turning: whether it starts to turn. The rest
    as of `ViewerPayload`.

    Traits that go both ways: `camera`, a dict of yaw and pitch (degrees; 0, 0 is the front),
    distance (1 = at the start) and center (3,), set with any of them; `expression`, E numbers of
    an avatar, or one, the intensity of a style in [0, 1.5] (see `show`); `timeline`, its keyframes
    (empty, or keys, loop and speed, as the viewer saves them); `turning`, whether it turns by
    itself. `picture` is the last JPEG that the kernel had to draw, empty where the browser has
    WebGL2.
    """

    _esm = cell_module()
    data = t.Bytes().tag(sync=True)
    page = t.Dict().tag(sync=True)
    rig = t.Dict(allow_none=True, default_value=None).tag(sync=True)
    html = t.Unicode().tag(sync=True)
    height = t.Int(480).tag(sync=True)
    background = t.Unicode("dark").tag(sync=True)
    camera = t.Dict().tag(sync=True)
    expression = t.List(t.Float()).tag(sync=True)
    timeline = t.Dict().tag(sync=True)
    turning = t.Bool(False).tag(sync=True)
    picture = t.Bytes().tag(sync=True)

    def __init__(self, scene: HasGaussians, cameras: Sequence[Camera] | None = None, *,
                 title: str = "", note: str = "", label: str = LABEL, mark: str = "",
                 height: int = 480, background: str = "dark", turning: bool = False,
                 trained_at: int | None = None, soft_edge: bool = True, sh_degree: int = 3,
                 track: Track | None = None):
        cameras = list(scene.cameras if cameras is None else cameras)
        payload = ViewerPayload.of_scene(scene, cameras, background=background,
                                         trained_at=trained_at, soft_edge=soft_edge,
                                         sh_degree=sh_degree, track=track)
        styled = (payload.rig or {}).get("kind") == "style"
        self.basis = STYLE if styled else scene.basis if isinstance(scene, Expressive) else None
        first = [] if self.basis is None else np.asarray(self.basis.mean if styled else
                                                         self.basis.neutral, float).tolist()
        shell = cell_html(title or payload.title, note, label, payload.poster)
        super().__init__(data=payload.data, page=payload.page | {"mark": mark}, rig=payload.rig,
                         height=int(height), html=shell, background=background,
                         turning=turning, expression=first)
        self._scene = scene
        self._frame = scene_frame(cameras) if len(cameras) > 1 else None
        self._base = cameras[0].fitted(PICTURE_SIZE) if cameras else None
        self._wanted: dict = {}
        self._label, self._still = label, None
        self._live = LivePicture(self._draw, lambda error: None)
        self.on_msg(self._asked)

    def show(self, expression=None) -> None:
        """Move an avatar's face: None = neutral, E numbers, or named values such as
        {"jawOpen": 0.6} where the basis knows names; or set a style's intensity, as a number or
        {"style": 0.5}. IdfError for what it does not know."""
        if self.basis is None:
            raise IdfError("This scene has no expression", "splats that stand still",
                           "show an avatar, or restyled splats")
        if self.basis is STYLE and np.isscalar(expression):
            expression = {"style": expression}  # no farther than the slider goes
        self.expression = self.basis.expression(expression).astype(float).tolist()

    def shown_widget(self) -> SplatViewer:
        """Return the viewer, which is a widget itself."""
        return self

    def still(self) -> np.ndarray | None:
        """Return the scene as the viewer opens, drawn once by the kernel: uint8 (H, W, 3)."""
        if self._still is None and self._frame is not None:
            start = self.page["frame"]
            camera = orbit_camera(self._frame, self._base, math.radians(start["yaw"]),
                                  math.radians(start["pitch"]))
            rgb = self._scene.render(camera, None, BEHIND[self.background == "white"])
            self._still = to_uint8(provenance.label(rgb, self._label) if self._label else rgb)
        return self._still

    @t.validate("camera")
    def _named(self, proposal):
        """Keep what is not named; IdfError for another name or no finite number."""
        value = proposal["value"]
        ok = set(value) <= {"yaw", "pitch", "distance", "center"} and np.isfinite(
            np.concatenate([np.ravel(np.asarray(v, float)) for v in value.values()] or [[0]])).all()
        if not ok or len(value.get("center", (0, 0, 0))) != 3:
            raise IdfError("This is not a viewer camera", f"{value}"[:120],
                           "give any of yaw, pitch, distance (numbers) and center (3 of them)")
        return self.camera | value

    @t.validate("expression")
    def _fits(self, proposal):
        value, e = proposal["value"], 0 if self.basis is None else len(self.basis.neutral)
        if len(value) != e or not all(map(math.isfinite, value)):
            raise IdfError("This expression does not fit the avatar", f"{len(value)} numbers",
                           f"give {e} finite ones")
        return value

    @t.validate("timeline")
    def _plays(self, proposal):
        value, e = proposal["value"], 0 if self.basis is None else len(self.basis.neutral)
        try:
            keys = value.get("keys", ())
            ok = set(value) <= {"keys", "loop", "speed", "names"} and len(keys) <= KEYS and all(
                0 <= key["time"] <= SECONDS and len(key["values"]) == e
                and all(abs(v) <= LARGEST for v in key["values"]) for key in keys)
        except (KeyError, TypeError):
            ok = False
        if not ok:
            raise IdfError("This timeline does not fit the avatar", f"{value}"[:120],
                           f"give at most {KEYS} keys, each with a time of at most {SECONDS} "
                           f"seconds and {e} values within ±{LARGEST}")
        return value

    # --- for a browser that cannot draw: it asks for pictures -------------------------------------

    def _asked(self, _widget, content, _buffers) -> None:
        if isinstance(content, dict) and isinstance(content.get("draw"), dict):
            self._wanted = content["draw"]
            self._live.request()

    def _draw(self, scale: float) -> None:
        if self._frame is None:
            raise IdfError("The kernel cannot draw this model", "a scene without cameras",
                           "use a browser with WebGL2, or give the dataset's cameras")
        w = self._wanted
        camera = orbit_camera(self._frame, self._base, float(w["yaw"]), float(w["pitch"]),
                              float(w["distance"]), w["center"])
        camera = camera.fitted(round(scale * PICTURE_SIZE))
        expression = None if w.get("expression") is None else np.array(w["expression"], np.float32)
        scene = self._scene if self.basis is not STYLE or expression is None else \
            self._scene.at_intensity(float(expression[0]))
        rgb = scene.render(camera, expression, BEHIND[bool(w.get("light"))])
        self.picture = live_jpeg(rgb)
