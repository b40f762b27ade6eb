"""The widget's kernel side: what is sent, what comes back, and what happens without a browser."""

import gzip
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.data.cameras import Camera
from idf_helpers.exporting.avatar_payload import Track, rig_json
from idf_helpers.notebook import view
from idf_helpers.notebook.orbit_viewer import OrbitViewer
from idf_helpers.reconstruction.splats.scene import GaussianScene
from tests.fixtures.talking_ball import NAMES, BallScene, talking_ball
from tests.fixtures.unpack import unpack

CAMERAS = [Camera.look_at((4 * np.sin(a), -4 * np.cos(a), 0.2), (0, 0, 0), (0, 0, 1), 0.5, 64, 64)
           for a in np.linspace(-0.6, 0.6, 5)]


def test_a_still_scene_is_sent_once_and_has_no_sliders():
    g = talking_ball(n=300).gaussians
    viewer = view(GaussianScene(g, cameras=CAMERAS), soft_edge=False, title="<b>")
    assert len(unpack(gzip.decompress(viewer.data))) == 300 and viewer.rig is None
    assert "<b>" not in viewer.html and "&lt;b&gt;" in viewer.html and ">SYNTHETIC<" in viewer.html
    assert viewer.expression == []
    viewer.camera = {"yaw": 30.0}
    viewer.camera = {"pitch": 5.0, "center": [0, 0, 1]}
    assert viewer.camera == {"yaw": 30.0, "pitch": 5.0, "center": [0, 0, 1]}
    for bad in ({"roll": 1.0}, {"yaw": float("nan")}, {"center": [1, 2]}):
        with pytest.raises(IdfError, match="not a viewer camera"):
            viewer.camera = bad
    with pytest.raises(IdfError, match="no expression"):
        viewer.show([0.1])


def test_an_avatar_has_sliders_and_an_expression_that_fits():
    scene = BallScene(600)
    viewer = view(scene, soft_edge=False)
    assert viewer.expression == pytest.approx([0.05] * len(NAMES))
    assert [s["label"] for s in viewer.rig["sliders"]][:2] == ["Jaw open", "Mouth smile"]
    assert len(unpack(gzip.decompress(viewer.data))) == 1000
    viewer.show(np.eye(len(NAMES))[0])
    assert viewer.expression[0] == 1.0
    for bad in ([1.0], [float("nan")] * len(NAMES)):
        with pytest.raises(IdfError, match="does not fit"):
            viewer.expression = bad
    viewer.show()
    assert viewer.expression == pytest.approx([0.05] * len(NAMES))


def test_a_timeline_fits_the_avatar_and_the_mark_travels_to_saved_pictures():
    viewer = view(BallScene(30), soft_edge=False, mark="synthetic, made with a test")
    assert viewer.timeline == {} and viewer.page["mark"] == "synthetic, made with a test"
    keys = [{"time": t, "values": [t] * len(NAMES)} for t in (0.0, 0.5)]
    viewer.timeline = {"keys": keys, "loop": False, "speed": 2}
    assert viewer.timeline["keys"] == keys
    for bad in ({"keys": [{"time": 0}]}, {"keys": [{"time": -1.0, "values": [0.0] * len(NAMES)}]},
                {"keys": [{"time": 0.0, "values": [0.0]}]}, {"frames": []}, {"keys": 3},
                {"keys": [{"time": 601, "values": [0.0] * len(NAMES)}]},
                {"keys": [{"time": float("nan"), "values": [0.0] * len(NAMES)}]},
                {"keys": [{"time": 0, "values": [1e30] * len(NAMES)}]},
                {"keys": [{"time": i, "values": [0.0] * len(NAMES)} for i in range(65)]}):
        with pytest.raises(IdfError, match="does not fit the avatar"):
            viewer.timeline = bad


def test_the_kernel_draws_for_a_browser_that_cannot():
    viewer = view(BallScene(600), soft_edge=False, label="")
    frame = viewer.page["frame"]
    wanted = {"yaw": 0.3, "pitch": 0.1, "distance": frame["distance"], "center": frame["center"],
              "expression": [0.05] * len(NAMES)}
    pictures = []
    for jaw in (0.05, 1.0):
        wanted["expression"][0] = jaw
        viewer._handle_custom_msg({"draw": wanted}, [])
        pictures.append(np.array(Image.open(io.BytesIO(viewer.picture))).astype(float))
    assert pictures[0].shape == (360, 360, 3) and pictures[0].std() > 20
    assert np.abs(pictures[1] - pictures[0]).max() > 60
    assert b"compositeSynthetic" in viewer.picture  # a page can save it


def test_a_restyled_scene_has_one_slider_that_the_kernel_follows():
    g = talking_ball().gaussians
    after = replace(g, sh=(-g.sh).astype(np.float32))
    viewer = view(GaussianScene(after, cameras=BallScene(30).cameras, original=g))
    assert viewer.rig["kind"] == "style" and viewer.expression == [1.0]
    viewer.show({"style": 0.5})
    assert viewer.expression == [0.5]
    for far in ({"style": 7}, 7):  # as far as the slider goes
        viewer.show(0)
        viewer.show(far)
        assert viewer.expression == [1.5]
    for wrong in ({"smile": 1}, [0.1, 0.2], [float("nan")], "much"):
        with pytest.raises(IdfError):
            viewer.show(wrong)
    pictures = []
    for beta in (0.0, 1.0):
        wanted = {"yaw": 0.0, "pitch": 0.0, "distance": 4.0, "center": [0, 0, 0],
                  "expression": [beta], "light": True}
        viewer._wanted = wanted
        viewer._draw(1.0)
        pictures.append(np.asarray(Image.open(io.BytesIO(viewer.picture)), np.float32))
    drawn = [np.abs(p - q).mean() for p, q in zip(pictures, pictures[1:], strict=False)]
    assert drawn[0] > 2


def test_other_scenes_are_drawn_by_the_kernel():
    class Field:
        cameras, background, training = CAMERAS, (1.0, 1.0, 1.0), {}

        def render(self, camera, expression=None, background=None):
            return np.zeros((camera.height, camera.width, 3), np.float32)

    assert isinstance(view(Field()), OrbitViewer)
    assert isinstance(view(Field(), CAMERAS, label="x"), OrbitViewer)


def test_a_track_is_sent_in_bytes_and_checked():
    import base64

    basis = talking_ball(n=10).basis
    values = np.random.default_rng(0).uniform(-1, 2, (40, len(NAMES)))
    track = rig_json(basis, Track(values, 12.5))["track"]
    codes = np.frombuffer(base64.b64decode(track["codes"]), np.uint8).reshape(40, -1)
    low, high = np.array(track["low"]), np.array(track["high"])
    np.testing.assert_allclose(low + codes * (high - low) / 255, values, atol=3 / 255)
    assert track["fps"] == 12.5 and track["frames"] == 40
    for bad in (Track(values[:, 1:]), Track(values * np.nan), Track(values, 0.0)):
        with pytest.raises(IdfError, match="track"):
            rig_json(basis, bad)
