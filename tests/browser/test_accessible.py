"""The page for everybody: axe-core's rules, the keyboard alone, the room that a phone has."""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.exporting.avatar_payload import Track
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from tests.browser.pages import FRAME, LOOKS
from tests.fixtures.gaussians import three
from tests.fixtures.npm import npm_file
from tests.fixtures.talking_ball import BallScene

from .pages import opened

pytestmark = pytest.mark.browser
AXE = ("axe-core", "4.14.1", "axe.min.js")  # MPL-2.0: fetched for the test, in no package
DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
FINDINGS = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ['violations']});
  return violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 90)).join(' | ')}`); }"""


def avatar():
    scene = BallScene(200)
    scene.basis = replace(scene.basis, names=("jawOpen", *LOOKS, "cheekPuff", "a_L", "a_R"))
    scene.avatar.basis = scene.basis
    return ViewerPayload.of_scene(scene, track=Track(np.linspace(0, 1, 36).reshape(3, 12)),
                                  soft_edge=False)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    payloads = {"head": ViewerPayload.of(three(), FRAME, soft_edge=False), "avatar": avatar()}
    return {name: write_viewer(p, folder / f"{name}.html", title="A head", note="a face swap")
            for name, p in payloads.items()}


@pytest.mark.npm
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["head", "avatar"])
def test_axe_finds_nothing_serious(requires_chromium, paths, name, size):
    axe = npm_file(*AXE).read_text(encoding="utf-8")
    with opened(requires_chromium, paths[name], **size) as page:
        page.ready().settle()
        page.page.evaluate(axe)
        assert page.page.evaluate(FINDINGS) == []
        if name == "avatar":
            for _ in range(2):
                page.page.keyboard.press("k")  # opens the timeline
            assert page.page.evaluate(FINDINGS) == []
        page.page.keyboard.press("b")
        assert page.page.evaluate(FINDINGS) == []
        for key, dialog in (("?", "#help-dialog"), ("s", "#share-dialog")):
            page.page.keyboard.press(key)
            assert page.page.locator(dialog).is_visible()
            assert page.page.evaluate(FINDINGS) == []
            page.page.keyboard.press("Escape")
        # It can find something: a button without a name.
        page.page.evaluate("document.querySelector('#reset').removeAttribute('aria-label');"
                           "document.querySelector('#reset').removeAttribute('title')")
        assert any("button-name" in found for found in page.page.evaluate(FINDINGS))


def test_a_turn_by_keyboard_is_said_in_words(requires_chromium, paths):
    with opened(requires_chromium, paths["head"], **DESK) as page:
        page.ready().page.locator("#view").focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
            page.page.keyboard.press(key)
        page.page.get_by_text("Seen 14 degrees from its left, 9 degrees from below.").wait_for()
        page.page.keyboard.press("0")
        page.page.get_by_text("Seen from the front, 5 degrees from above.").wait_for()


def focused(page) -> str:
    return page.page.evaluate("document.activeElement.id || document.activeElement.className ||"
                              " document.activeElement.getAttribute('aria-label')")


def test_the_keyboard_reaches_everything_in_sight(requires_chromium, paths):
    with opened(requires_chromium, paths["avatar"], **DESK) as page:
        page.ready()
        for _ in range(2):
            page.page.keyboard.press("k")
        wanted = page.page.evaluate(
            "() => [...document.querySelectorAll('button, input, select, canvas')].filter(e =>"
            " !e.disabled && e.offsetParent && !e.closest('dialog')).map(e => e.id || e.className"
            " || e.getAttribute('aria-label') || e.textContent)")
        page.page.locator("#view").focus()
        reached = []
        for _ in range(len(wanted)):
            reached.append(page.page.evaluate(
                "() => { const e = document.activeElement; return e.id || e.className ||"
                " e.getAttribute('aria-label') || e.textContent; }"))
            page.page.keyboard.press("Tab")
        assert sorted(reached) == sorted(wanted) and len(wanted) > 25
        page.page.keyboard.press("Shift+Tab")
        outline = page.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"              # and one sees where the focus is


@pytest.mark.parametrize("key, dialog, opener", [("?", "help-dialog", "help-open"),
                                                 ("s", "share-dialog", "share")])
def test_a_dialog_keeps_the_focus_until_it_is_closed(requires_chromium, paths, key, dialog, opener):
    with opened(requires_chromium, paths["head"], **DESK) as page:
        page.ready()
        page.page.locator(f"#{opener}").focus()
        page.page.keyboard.press(key)
        assert focused(page) == "close"
        for _ in range(8):
            page.page.keyboard.press("Tab")
            assert page.page.evaluate("dialog => document.activeElement === document.body ||"
                                      " !!document.activeElement.closest('#' + dialog)", dialog)
        yaw = page.js("(view, orbit) => orbit.goal.yaw")
        for typed in ("ArrowLeft", "b", " "):
            page.page.keyboard.press(typed)    # are no commands meanwhile
        assert page.js("(view, orbit) => orbit.goal.yaw") == yaw
        page.page.keyboard.press("Escape")
        assert page.page.locator(f"#{dialog}").is_hidden() and focused(page) == opener
        assert page.complaints == []


def test_on_a_phone_the_sheet_leaves_the_head_its_room(requires_chromium, paths):
    with opened(requires_chromium, paths["avatar"], **PHONE) as page:
        page.ready()
        sheet = page.page.locator("#face")
        assert sheet.bounding_box()["height"] <= 0.3 * 844 + 1
        page.page.keyboard.press("k")
        assert sheet.bounding_box()["height"] <= 0.3 * 844 + 1
        assert page.page.locator("#key-add").is_visible()
        page.page.locator("#fold").tap()
        assert sheet.bounding_box()["height"] < 60
        assert page.page.locator("#label").bounding_box()["y"] < 844 - 60
        small = page.page.evaluate(
            "() => [...document.querySelectorAll('button, select')].filter(e => e.offsetParent)"
            ".map(e => e.getBoundingClientRect()).filter(b => Math.min(b.width, b.height) < 24)")
        assert small == []                     # nothing too small for a finger (WCAG 2.5.8)
        assert page.page.evaluate("document.documentElement.scrollWidth") == 390


def test_who_wants_less_motion_gets_none(requires_chromium, paths):
    with opened(requires_chromium, paths["avatar"], **DESK) as page:
        page.ready()
        assert page.page.get_attribute("#turn", "aria-pressed") == "false"
        moving = page.page.evaluate(
            "() => [...document.querySelectorAll('.page *')].filter(e => getComputedStyle(e)"
            ".transitionDuration.split(', ').some(t => parseFloat(t) > 0)).map(e => e.id)")
        assert moving == []
