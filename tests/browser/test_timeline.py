"""The timeline of an avatar's page: keyframes by hand, their playing, their file."""

import json

import pytest

from idf_helpers.exporting.avatar_payload import Track
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from tests.fixtures.talking_ball import NAMES, BallScene

from .pages import opened

pytestmark = pytest.mark.browser
WINDOW = {"width": 900, "height": 700}
JAW = "() => document.querySelector('canvas').face.value[0]"
TIMES = "() => document.querySelector('canvas').timeline.line.keys.map(key => key.time)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    import numpy as np

    track = Track(np.linspace(0, 1, 20)[:, None] * np.ones(len(NAMES)))
    payload = ViewerPayload.of_scene(BallScene(200), track=track, soft_edge=False)
    return write_viewer(payload, tmp_path_factory.mktemp("page") / "v.html", title="A head")


def at(page, time):
    return page.page.evaluate("time => document.querySelector('canvas').timeline.line.at(time)[0]",
                              time)


def test_keyframes_are_added_moved_set_and_removed_by_hand(requires_chromium, path):
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        page.ready()
        button = {name: page.page.get_by_role("button", name=name, exact=True)
                  for name in ("Timeline", "Add", "Set", "Remove", "Play the timeline")}
        jaw = page.page.get_by_role("slider", name="Jaw open")
        button["Timeline"].click()
        assert button["Set"].is_disabled() and button["Play the timeline"].is_disabled()
        jaw.fill("0")
        button["Add"].click()
        jaw.fill("1")
        button["Add"].click()
        assert page.page.evaluate(TIMES) == [0, 1]
        assert at(page, 0.5) == pytest.approx(0.5) and at(page, 0.1) < 0.05   # eased
        second = page.page.get_by_role("slider", name="Keyframe 2")
        second.focus()
        for _ in range(5):
            page.page.keyboard.press("ArrowRight")
        page.page.keyboard.press("PageUp")
        assert page.page.evaluate(TIMES) == [0, 2.5]
        assert second.get_attribute("aria-valuetext") == "2.5 seconds"
        box = page.page.locator("#keys").bounding_box()
        handle = second.bounding_box()
        page.page.mouse.move(handle["x"] + 12, handle["y"] + 12)
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + box["width"] * 2 / 4, handle["y"] + 12, steps=4)
        page.page.mouse.up()
        assert page.page.evaluate(TIMES) == [0, 2]
        page.page.get_by_role("slider", name="Keyframe 1").click()
        assert page.page.evaluate(JAW) == 0 and button["Set"].is_enabled()
        assert page.page.evaluate("document.activeElement.ariaLabel") == "Keyframe 1"
        page.page.locator("#time").fill("1")                 # between: what the face does there
        assert page.page.evaluate(JAW) == pytest.approx(0.5)
        assert button["Remove"].is_disabled()
        button["Add"].click()
        assert page.page.evaluate(TIMES) == [0, 1, 2]
        jaw.fill("0.2")
        button["Set"].click()
        assert at(page, 1) == pytest.approx(0.2)
        page.page.get_by_role("slider", name="Keyframe 2").focus()
        page.page.keyboard.press("Delete")
        assert page.page.evaluate(TIMES) == [0, 2]
        assert page.page.evaluate("document.activeElement.className") == "key chosen"
        button["Remove"].click()
        assert page.page.evaluate(TIMES) == [0] and button["Play the timeline"].is_disabled()
        assert page.complaints == []


def test_it_plays_loops_and_makes_way(requires_chromium, path):
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        page.ready()
        jaw = page.page.get_by_role("slider", name="Jaw open")
        jaw.fill("0")
        page.page.keyboard.press("k")
        jaw.fill("1")
        page.page.keyboard.press("k")
        # By hand, second by second, whatever the machine's speed: at twice the speed, in a loop.
        page.page.locator("#speed").select_option("2")
        seen = page.page.evaluate("""() => {
          const {timeline, face} = document.querySelector('canvas');
          timeline.go(0); timeline.onplay = null; timeline.play(true);
          const seen = []; for (let i = 0; i < 17; i++) { timeline.advance(0.05);
            seen.push([timeline.time, face.value[0]]); }
          timeline.line.loop = false; for (let i = 0; i < 40; i++) timeline.advance(0.05);
          return [seen, timeline.playing, timeline.time, face.value[0]]; }""")
        (times, values), rest = zip(*seen[0], strict=True), seen[1:]
        assert values[4] == pytest.approx(0.5) and values[9] == pytest.approx(1)
        assert 0 < values[12] < 1 and times[16] == pytest.approx(0.1)    # round again after 1.6 s
        assert rest == [False, 1, 1]                                     # once, and it rests there
        page.page.evaluate("document.querySelector('canvas').timeline.line.loop = true")
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        page.ready()
        jaw = page.page.get_by_role("slider", name="Jaw open")
        for value in ("0", "1"):
            jaw.fill(value)
            page.page.keyboard.press("k")
        page.page.keyboard.press("t")
        page.page.wait_for_function("() => document.querySelector('canvas').face.value[0] < 0.9")
        pressed = "id => document.getElementById(id).getAttribute('aria-pressed')"
        assert page.page.evaluate(pressed, "timeline-play") == "true"
        page.page.keyboard.press("p")                         # the recorded track instead
        assert page.page.evaluate(pressed, "timeline-play") == "false"
        assert page.page.evaluate(pressed, "play") == "true"
        page.page.keyboard.press("t")
        assert page.page.evaluate(pressed, "play") == "false"
        jaw.fill("0.3")                                       # a hand has the last word
        page.settle()
        assert page.page.evaluate(pressed, "timeline-play") == "false"
        assert page.page.evaluate(JAW) == pytest.approx(0.3)
        assert page.complaints == []


def test_the_file_is_read_back_and_others_are_refused(requires_chromium, path, tmp_path):
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        page.ready()
        jaw = page.page.get_by_role("slider", name="Jaw open")
        for value in ("0.1", "0.9"):
            jaw.fill(value)
            page.page.keyboard.press("k")
        page.page.get_by_role("button", name="Loop").click()
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name="Save the timeline").click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        said = json.loads(file.read_text())
        assert file.name == "A-head-timeline.json" and said["names"] == list(NAMES)
        assert [k["time"] for k in said["keys"]] == [0, 1] and said["loop"] is False
        assert said["keys"][1]["values"][0] == pytest.approx(0.9)
        said["keys"][1]["time"], said["speed"] = 3, 0.5
        file.write_text(json.dumps(said))
        page.page.set_input_files("#timeline-file", file)
        page.page.get_by_text("2 keyframes, 3.0 s").wait_for()
        assert page.page.input_value("#speed") == "0.5"
        for bad in ("no json", '{"keys": [{"time": 0, "values": [1]}]}',
                    json.dumps({"keys": [{"time": -1, "values": [0] * len(NAMES)}]}), "[]", "null",
                    json.dumps({"keys": [{"time": 0, "values": [1e300] * len(NAMES)}]})):
            file.write_text(bad)
            page.page.set_input_files("#timeline-file", file)
            page.page.locator("#timeline-note", has_text="This").wait_for()
            assert page.page.evaluate(TIMES) == [0, 3]
            page.page.evaluate("document.querySelector('canvas').timeline.say('')")
        assert page.complaints == []
