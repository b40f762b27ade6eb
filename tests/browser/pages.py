"""Opening an exported page, watching what it asks for and says, and reading its pixels."""

import base64
import contextlib
import io

import numpy as np
from PIL import Image

from idf_helpers.data.cameras import Camera, SceneFrame


class Page:
    """An open viewer page. `complaints`: console errors and warnings; `requests`: all URLs."""

    def __init__(self, browser, path, **context):
        self.complaints, self.requests = [], []
        self.context = browser.new_context(**{"viewport": {"width": 256, "height": 256},
                                              "reduced_motion": "reduce", **context})
        self.context.on("request", lambda r: self.requests.append(r.url))
        self.page = self.context.new_page()
        self.page.on("console", lambda m: m.type in ("error", "warning") and
                     self.complaints.append(m.text))
        self.page.on("pageerror", lambda e: self.complaints.append(str(e)))
        self.page.goto(path.as_uri())

    def ready(self):
        """Waits for the first picture."""
        self.page.wait_for_selector(".ready", timeout=60_000)
        return self

    def js(self, text, argument=None):
        """Evaluates `text`, a function of (view, orbit, argument)."""
        return self.page.evaluate(
            "argument => { const c = document.querySelector('canvas');"
            f" return ({text})(c.view, c.orbit, argument); }}", argument)

    def picture(self, camera=None, background=(1.0, 1.0, 1.0), distance=None) -> np.ndarray:
        """(H, W, 3) uint8 as drawn now, from `camera` (an idf_helpers Camera) if given."""
        w2c = camera and {"w2c": camera.w2c_cv.ravel().tolist(), "fx": camera.fx, "fy": camera.fy,
                          "cx": camera.cx, "cy": camera.cy, "width": camera.width,
                          "height": camera.height, "distance": distance}
        url = self.js("(view, orbit, [camera, background]) => { view.quality = 1;"
                      " view.setBackground(background); if (camera) view.setCamera(camera);"
                      " view.render(); return view.canvas.toDataURL('image/png'); }",
                      [w2c, list(background) if background else None])
        data = base64.b64decode(url.split(",", 1)[1])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA" if background is None
                                                               else "RGB"))

    def settle(self):
        """Waits until the picture rests."""
        self.page.wait_for_function(
            "() => { const c = document.querySelector('canvas');"
            " return c.orbit._then === null && c.view._request === null; }", timeout=60_000)
        return self


@contextlib.contextmanager
def opened(browser, path, **context):
    page = Page(browser, path, **context)
    try:
        yield page
    finally:
        page.context.close()


def psnr(a, b) -> float:
    """dB between two pictures in uint8."""
    mse = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(mse, 1e-9)))
# Names of an avatar's inputs for the eyes, as several tests give them to one.
LOOKS = ("eyeLookOut_L", "eyeLookIn_R", "eyeLookIn_L", "eyeLookOut_R", "eyeLookUp_L", "eyeLookUp_R",
         "eyeLookDown_L", "eyeLookDown_R")
FOV = 0.5
FRAME = SceneFrame(np.zeros(3), np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), 4.0,
                   4.0 * np.tan(FOV / 2))


def looking_from(*position, size=(256, 256)) -> Camera:
    return Camera.look_at(position, (0, 0, 0), (0, 0, 1), FOV, *size)


# Of pages with sliders beside the picture.
CAMERA = looking_from(0.6, -4, 0.1)
WINDOW = {"width": 736, "height": 256}  # the panel takes 336 of it
TOLERANCE = 45.0  # dB between the page and the kernel, 8-bit pictures of 256²


def drawn(page) -> np.ndarray:
    """The page's picture from CAMERA, which stands in the middle of a wider canvas."""
    return page.picture(CAMERA)[:, 72:328]
