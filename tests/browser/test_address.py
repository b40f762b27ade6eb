"""The end of the page's address: the same view for somebody else, and nothing for somebody evil."""

import html
import json
import re

import numpy as np
import pytest

from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from tests.fixtures.talking_ball import BallScene

from .pages import opened

pytestmark = pytest.mark.browser
STATE = """() => { const {orbit, face, timeline} = document.querySelector('canvas');
  const {yaw, pitch, distance, center} = orbit.goal;
  return {yaw, pitch, distance, center, face: [...face.value], time: timeline.value,
    light: document.documentElement.classList.contains('light')}; }"""
HOSTILE = [
    "view=NaN,1,1", "view=1e309,0,1", "view=0,0,0", "view=0,0,-1", "view=1,2", "view=" + "9" * 400,
    "view=1,2,1,Infinity,0,0", "view=0x10,0,1", "face=0:NaN", "face=-1:0.5", "face=999:1",
    "face=__proto__:1", "face=0", "face=0.5:1", "page=<img src=x onerror=alert(1)>", "page=ff00f",
    "page=red;--x:1", "time=1,1", "time=;", "time=1,1;-5|;1|", "time=1,1;0|0:9e9;1|x",
    "time=1,1;" + ";".join(f"{i}|" for i in range(200)),
    "time=1,1;99999|;1|", "play=1", "%00%ff%", "view", "&&&==", "<script>window.evil = 1</script>",
    "constructor=1&toString=2&__proto__=3", "face=" + ",".join("0:0.5" for _ in range(9000))]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_viewer(ViewerPayload.of_scene(BallScene(300), soft_edge=False),
                        tmp_path_factory.mktemp("page") / "v.html", title="A head & more")


def test_a_link_shows_the_same_to_somebody_else(requires_chromium, path):
    with opened(requires_chromium, path, viewport={"width": 900, "height": 600}) as page:
        page.ready().settle()
        length = page.page.evaluate("history.length")
        assert "#" not in page.page.url                       # nothing is said of the start
        page.page.get_by_role("slider", name="Jaw open").fill("0.7")
        page.page.keyboard.press("k")
        page.page.get_by_role("slider", name="Mouth smile").fill("0.4")
        page.page.keyboard.press("k")
        page.page.locator("#view").focus()
        for key in ("ArrowLeft", "ArrowUp", "+", "b"):
            page.page.keyboard.press(key)
        page.page.wait_for_function("() => location.hash.includes('page=light')")
        url, wanted = page.page.url, page.page.evaluate(STATE)
        assert page.page.evaluate("history.length") == length  # the back button leaves the page
        page.page.keyboard.press("s")
        link = page.page.input_value("#share-link")
        frame = page.page.input_value("#share-frame")
        assert link == url and 'title="A head &amp; more"' in frame
        assert "file on your computer" in page.page.inner_text("#share-note")
        assert html.unescape(re.search(r'src="([^"]*)"', frame)[1]) == url
        assert page.complaints == []
    with opened(requires_chromium, path, viewport={"width": 900, "height": 600}) as page:
        page.ready()
        page.page.goto(url)                                    # only the end of it changes
        page.page.wait_for_function("() => document.querySelector('canvas').face.value[0] > 0.6")
        assert_same(page.page.evaluate(STATE), wanted)
        page.page.reload()                                     # and from the start
        assert_same(page.ready().page.evaluate(STATE), wanted)
        assert page.complaints == []


def assert_same(found, wanted):
    for name in ("yaw", "pitch", "distance"):
        assert found[name] == pytest.approx(wanted[name], abs=0.01)
    assert found["face"] == pytest.approx(wanted["face"], abs=1e-3)
    assert found["light"] == wanted["light"] is True
    assert len(found["time"]["keys"]) == 2 and found["time"]["loop"] == wanted["time"]["loop"]
    for a, b in zip(found["time"]["keys"], wanted["time"]["keys"], strict=True):
        assert a["time"] == b["time"] and a["values"] == pytest.approx(b["values"], abs=1e-3)


def test_a_color_of_ones_own_behind_the_head(requires_chromium, path):
    look = ("() => [document.documentElement.classList.contains('light'),"
            " getComputedStyle(document.querySelector('.page')).getPropertyValue('--page')]")
    with opened(requires_chromium, path) as page:
        page.ready().page.keyboard.press("s")
        assert page.page.input_value("#share-color") == "#131416"
        for color, light in (("#fff2cc", True), ("#203050", False)):
            page.page.locator("#share-color").fill(color)
            assert page.page.evaluate(look) == [light, color]
            assert page.page.input_value("#share-link").endswith(f"#page={color[1:]}")
        page.page.keyboard.press("Escape")
        page.page.goto(path.as_uri() + "#page=fff2cc")
        page.page.wait_for_function("() => document.documentElement.classList.contains('light')")
        assert page.page.evaluate(look) == [True, "#fff2cc"]
        page.page.keyboard.press("b")
        assert page.page.evaluate(look) == [False, "#131416"]
        assert page.complaints == []


def test_a_link_made_while_the_timeline_plays_plays_it(requires_chromium, path):
    end = "#time=1,2;0|0:0;1|0:1&play=1"
    for motion, plays in (("no-preference", True), ("reduce", False)):
        with opened(requires_chromium, path, reduced_motion=motion) as page:
            page.ready().page.goto(path.as_uri() + end)
            page.page.wait_for_function(
                "() => document.querySelector('canvas').timeline.line.keys.length === 2")
            playing = "document.querySelector('canvas').timeline.playing"
            assert page.page.evaluate(playing) is plays
            if plays:
                page.page.wait_for_function("() => location.hash.endsWith('play=1')")
                page.page.keyboard.press("t")
                page.page.wait_for_function("() => !location.hash.includes('play')")


def test_hostile_addresses_change_nothing_that_matters(requires_chromium, path):
    with opened(requires_chromium, path) as page:
        start = page.ready().settle().page.evaluate(STATE)
        body = page.page.evaluate("document.querySelectorAll('*').length")
        for evil in HOSTILE:
            page.page.evaluate("evil => { location.hash = evil; }", evil)
            page.page.evaluate("() => new Promise(done => setTimeout(done, 20))")
            found = page.page.evaluate(STATE)
            assert found == start, evil
        assert page.page.evaluate("document.querySelectorAll('*').length") == body
        assert page.page.evaluate("[window.evil, ({}).polluted]") == [None, None]
        page.page.evaluate("() => { location.hash = 'view=4000,88,0.001&face=0:77,1:-3'; }")
        page.page.wait_for_function("() => document.querySelector('canvas').face.value[0] === 1")
        found = page.page.evaluate(STATE)                      # too much of it is bounded
        turn, tilt = page.js("(view, orbit) => [orbit.limits.turn[1], orbit.limits.tilt[1]]")
        assert abs(found["yaw"]) <= turn and found["pitch"] == pytest.approx(tilt)
        assert found["face"][1] == 0 and np.isfinite(found["distance"])
        assert found["distance"] == pytest.approx(0.33 * start["distance"])
        assert page.complaints == []
        json.dumps(found, allow_nan=False)
