"""The kernel-rendered viewer: directions, expressions, and that it keeps up with a hand."""

import asyncio
import io
import math

import numpy as np
import pytest
from PIL import Image

from idf_helpers import IdfError
from idf_helpers.data.cameras import Camera, orbit, scene_frame
from idf_helpers.notebook.orbit_viewer import OrbitViewer, orbit_camera

CAMERAS = [Camera.look_at((1 + 4 * np.sin(a), 2 - 4 * np.cos(a), 3.2), (1, 2, 3), (0, 0, 1), 0.5,
                          80, 60) for a in np.linspace(-1, 1, 9)]


class Recorder:
    """A scene that remembers what it was asked for; its picture is the direction as a color."""

    cameras = ()

    def __init__(self, **extra):
        self.asked = []
        self.__dict__.update(extra)

    def render(self, camera, expression=None, background=None):
        self.asked.append((camera, expression))
        color = 0.5 + 0.5 * camera.forward
        return np.broadcast_to(color.astype(np.float32), (camera.height, camera.width, 3))


def picture_of(viewer):
    return np.array(Image.open(io.BytesIO(viewer.image.value))).astype(float)


def test_sliders_name_the_camera_and_the_picture_follows():
    scene = Recorder()
    viewer = OrbitViewer(scene, CAMERAS, size=80, label="")
    first = picture_of(viewer)
    assert b"compositeSynthetic" in bytes(viewer.image.value)  # a page can save it
    assert first.shape == (60, 80, 3) and scene.asked[-1][1] is None
    viewer.yaw.value, viewer.pitch.value = 90, 0
    assert len(scene.asked) == 3  # outside of a kernel every change draws
    frame = scene_frame(CAMERAS)
    side = np.cross(frame.up, frame.front)
    np.testing.assert_allclose(scene.asked[-1][0].forward, -side, atol=1e-9)
    assert np.abs(picture_of(viewer) - first).max() > 40
    viewer.distance.value = 2.0
    assert np.linalg.norm(viewer.camera.position - frame.center) == pytest.approx(
        2 * frame.distance)


def test_the_direction_is_that_of_the_turntable():
    frame = scene_frame(CAMERAS)
    for a, b in zip(orbit(CAMERAS, 8, elevation=6.0), range(8), strict=True):
        c = orbit_camera(frame, CAMERAS[0], 2 * math.pi * b / 8, math.radians(6.0))
        np.testing.assert_allclose(a.c2w, c.c2w, atol=1e-9)


def test_many_changes_at_once_are_one_picture_and_a_slow_scene_drafts():
    scene = Recorder()
    viewer = OrbitViewer(scene, CAMERAS, size=80, label="")
    viewer.picture.seconds = 0.2  # as if it had been slow

    async def drag():
        for yaw in range(30):
            viewer.yaw.value = yaw
        assert len(scene.asked) == 1
        await asyncio.sleep(0.15)
        assert [c.width for c, _ in scene.asked[1:]] == [40]
        await asyncio.sleep(0.45)

    asyncio.run(drag())
    assert [c.width for c, _ in scene.asked[1:]] == [40, 80]
    np.testing.assert_allclose(scene.asked[-1][0].c2w, viewer.camera.c2w)
    assert picture_of(viewer).shape == (60, 80, 3)


def test_errors_are_shown_and_raised_and_the_label_is_on():
    def fails(camera, expression=None):
        raise IdfError("The scene is gone", "<nothing>")

    viewer = OrbitViewer(Recorder(), CAMERAS, size=80)
    assert np.ptp(picture_of(viewer)) > 100  # one color, and the word in the corner
    viewer.scene.render = fails
    with pytest.raises(IdfError):
        viewer.picture.request()
    assert "&lt;nothing&gt;" in viewer.status.value
    with pytest.raises(IdfError, match="without cameras"):
        OrbitViewer(Recorder())
