"""Eyes and head that follow the pointer, within what the avatar was seen to do."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.exporting.avatar_payload import gaze_ways
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from tests.fixtures.talking_ball import BallScene

from .pages import LOOKS, opened

pytestmark = pytest.mark.browser
LEFT, RIGHT, UP, DOWN = ([1, 2], [3, 4], [5, 6], [7, 8])  # of the head


def path_of(tmp_path, names, high=0.6):
    scene = BallScene(200)
    most = scene.basis.high.copy()
    most[1:9] = high
    scene.basis = replace(scene.basis, names=names, high=most)
    scene.avatar.basis = scene.basis
    payload = ViewerPayload.of_scene(scene, soft_edge=False)
    return write_viewer(payload, tmp_path / "v.html", title="A head")


def test_the_ways_to_look_are_found_by_either_spelling():
    names = ["jawOpen", *LOOKS]
    neutral, high = np.full(9, 0.1), np.full(9, 0.6)
    ways = gaze_ways(names, 0 * high, high, neutral)
    assert {way: [i for i, _ in found] for way, found in ways.items()} == {
        "left": LEFT, "right": RIGHT, "up": UP, "down": DOWN}
    assert ways["left"][0][1] == 0.6
    arkit = [n.replace("_L", "Left").replace("_R", "Right") for n in names]
    assert gaze_ways(arkit, 0 * high, high, neutral) == ways
    assert gaze_ways(["jawOpen"] * 9, 0 * high, high, neutral) is None
    high[1:5] = neutral[1:5]  # names without a range: eyes that never moved
    assert gaze_ways(names, neutral, high, neutral) is None


def test_eyes_and_head_follow_the_pointer_and_come_back(requires_chromium, tmp_path):
    path = path_of(tmp_path, ("jawOpen", *LOOKS, "noseSneer_R", "cheekPuff", "tongueOut"))
    with opened(requires_chromium, path, viewport={"width": 736, "height": 400}) as page:
        page.ready().settle()
        start = page.js("(view, orbit) => ({...orbit.goal})")

        def look(x, y):
            page.page.mouse.move(x, y)
            page.page.wait_for_function("() => { const {gaze} = document.querySelector('canvas');"
                                        " return !gaze.moving; }")
            page.settle()
            return page.js("(view, orbit) => [orbit.now.yaw, orbit.now.pitch,"
                           " [...view.canvas.face.gaze].sort((a, b) => a[0] - b[0])]")

        page.page.get_by_role("button", name="Look at pointer").click()
        yaw, pitch, eyes = look(395, 200)  # the middle of the head is at 200, 200
        eyes = dict(eyes)
        assert yaw < start["yaw"] - 0.05 and pitch == pytest.approx(start["pitch"], abs=0.01)
        assert 0.35 < eyes[LEFT[0]] <= 0.6 + 1e-6 and eyes[RIGHT[0]] == pytest.approx(0.05)
        yaw, pitch, eyes = look(200, 5)
        eyes = dict(eyes)
        assert pitch < start["pitch"] - 0.03 and eyes[UP[0]] > 0.35
        assert eyes[DOWN[0]] == pytest.approx(0.05) and eyes[LEFT[0]] == pytest.approx(0.05, 1e-2)
        turn, tilt = page.js("(view, orbit) => [orbit.limits.turn, orbit.limits.tilt]")
        yaw, pitch, eyes = look(1, 399)
        assert turn[0] < yaw < turn[1] and tilt[0] < pitch < tilt[1]
        assert max(v for _, v in eyes) <= 0.6 + 1e-6
        assert page.js("view => Math.max(...view.canvas.face.value)") == pytest.approx(0.05)
        page.page.keyboard.press("l")
        yaw, pitch, eyes = look(2, 2)
        assert (yaw, pitch) == pytest.approx((start["yaw"], start["pitch"]), abs=0.01)
        assert eyes == [] and "#" not in page.page.url and page.complaints == []


def test_a_head_without_eyes_to_move_has_no_such_button(requires_chromium, tmp_path):
    scene = BallScene(200)
    path = write_viewer(ViewerPayload.of_scene(scene, soft_edge=False), tmp_path / "v.html",
                        title="A")
    with opened(requires_chromium, path) as page:
        assert page.ready().page.locator("#look").is_hidden()
