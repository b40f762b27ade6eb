"""The exported page in a real browser: the picture, the order in depth, the hand on it."""

import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.pack import pack
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians
from tests.browser.pages import FRAME, looking_from
from tests.fixtures.gaussians import three
from tests.fixtures.unpack import unpack

from .by_hand import draw
from .pages import opened, psnr

pytestmark = pytest.mark.browser
WHITE = (1.0, 1.0, 1.0)


def cloud(n=4000, degree=3) -> Gaussians:
    """A ball with a colored shell, needles and plates among it, every degree of harmonics."""
    r = np.random.default_rng(5)
    d = r.normal(size=(n, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    means = d * r.uniform(0.6, 0.8, (n, 1)) * [1, 1, 1.15]
    sh = r.normal(0, 0.12, (n, (degree + 1) ** 2, 3))
    sh[:, 0] = (0.5 + 0.35 * np.sin(4 * d + [0, 2, 4]) - 0.5) / SH_C0
    return Gaussians(means, r.normal(-3.6, 0.7, (n, 3)), r.normal(size=(n, 4)),
                     r.normal(1.5, 2, n), sh).checked()


def page_of(tmp_path, gaussians, title="A head", label="Synthetic, by a test", note="", frame=FRAME,
            **options):
    return write_viewer(ViewerPayload.of(gaussians, frame, **options), tmp_path / "viewer.html",
                        title=title, label=label, note=note)


def test_the_page_opens_from_disk_without_network_or_complaint(requires_chromium, tmp_path):
    path = page_of(tmp_path, cloud())
    with opened(requires_chromium, path) as page:
        page.ready().settle()
        assert page.complaints == []
        assert page.requests == [path.as_uri()]
        picture = page.picture(background=None)
        drawn = picture[..., 3] > 0
        assert drawn.mean() > 0.5 and not drawn[:8, :8].any() and picture[drawn][:, :3].std() > 20
        label = page.page.locator("#label")
        assert label.is_visible() and label.inner_text() == "Synthetic, by a test"
        box = label.bounding_box()
        assert box["height"] >= 0.03 * 256 and 0 <= box["x"] and box["y"] + box["height"] <= 256
        page.page.screenshot(path=tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 5000


def test_the_page_is_locked_against_scripts_and_network_in_it(requires_chromium, tmp_path):
    """What a title or a meta tag smuggles in is text, and the policy stops the rest."""
    evil = "</script></title><script>document.documentElement.dataset.evil = 1</script><img src=x>"
    path = page_of(tmp_path, three(), title=evil, label=evil, note=evil)
    with opened(requires_chromium, path) as page:
        page.ready()
        assert page.page.title() == evil
        assert page.page.locator("img:not(#poster)").count() == 0
        assert page.page.evaluate("document.documentElement.dataset.evil") is None
        refused = page.page.evaluate("""async () => {
          const s = document.createElement('script'); s.textContent = 'window.evil = 1';
          document.body.append(s);
          const r = await fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused');
          return [r, window.evil]; }""")
        assert refused == ["refused", None]
        assert any("Content Security Policy" in c for c in page.complaints)
        assert [u for u in page.requests if urlsplit(u).scheme != "file"] == []


def test_a_marked_page_still_opens_and_says_what_it_is(requires_chromium, tmp_path):
    from idf_helpers import provenance

    path = page_of(tmp_path, three(), title="Kopf Ä – 頭")
    what = provenance.Mark("0123456789ab", "a face swap, as splats", consent="c" * 64)
    provenance.mark(path, what)
    with opened(requires_chromium, path) as page:
        page.ready()
        assert page.page.title() == "Kopf Ä – 頭" and page.complaints == []
        said = page.page.get_attribute('meta[name="idf:provenance"]', "content")
        assert said == what.text()


@pytest.mark.parametrize("position", [(0.3, -4, 0.5), (-0.4, 4, 0.2), (4, 0.5, -0.3)],
                         ids=["front", "behind", "side"])
def test_three_gaussians_as_computed_by_hand(requires_chromium, tmp_path, position):
    g = three()
    camera = looking_from(*position)
    with opened(requires_chromium, page_of(tmp_path, g)) as page:
        for background in (WHITE, (0.1, 0.2, 0.3)):
            picture = page.ready().picture(camera, background)
            assert psnr(picture, draw(g, camera, background)) > 45
    if position[0] < 3:  # a wrong order would be another picture
        flipped = draw(Gaussians(g.means, g.log_scales, g.quats, g.opacity_logits, g.sh[::-1]),
                       camera, WHITE)
        assert psnr(draw(g, camera, WHITE), flipped) < 25


def test_view_dependent_color_turns_with_the_camera(requires_chromium, tmp_path):
    g = three()
    sh = np.zeros((3, 4, 3), np.float32)
    # Within 0…1: the canvas cuts brighter colors before they are blended.
    sh[:, 0], sh[:, 1] = g.sh[:, 0], [[0.1, -0.3, 0], [0, 0.3, -0.5], [0.3, 0.3, -0.1]]
    g = Gaussians(g.means, g.log_scales, g.quats, g.opacity_logits, sh).checked()
    with opened(requires_chromium, page_of(tmp_path, g)) as page:
        page.ready()
        for position in [(0.3, -4, 0.5), (-0.4, 4, 0.2)]:
            camera = looking_from(*position)
            assert psnr(page.picture(camera), draw(g, camera, WHITE)) > 45
            plain = Gaussians(g.means, g.log_scales, g.quats, g.opacity_logits, g.sh[:, :1])
            assert psnr(draw(plain, camera, WHITE), draw(g, camera, WHITE)) < 35


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_the_picture_is_that_of_our_rasterizer(requires_chromium, tmp_path, degree):
    """Same camera, same background; oblong picture, principal point off the center."""
    from dataclasses import replace

    from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer

    g = cloud(degree=degree)
    camera = replace(looking_from(2.5, -3, 0.8, size=(240, 200)), cx=110.0, cy=108.0)
    drawn = CpuRasterizer(near=0.2).forward(g, camera, np.ones(3, np.float32)).rgb
    ours = np.clip(np.rint(255 * drawn.transpose(1, 2, 0)), 0, 255).astype(np.uint8)
    size = {"width": 240, "height": 200}
    with opened(requires_chromium, page_of(tmp_path, g), viewport=size) as page:
        assert psnr(page.ready().picture(camera), ours) > 45
        assert psnr(ours, np.roll(ours, 1, axis=1)) < 38  # one pixel off shows


def test_quantizing_costs_little(tmp_path):
    """The packed splats, unpacked, against the originals, in the same rasterizer."""
    from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer

    g, camera = cloud(), looking_from(2.5, -3, 0.8)
    raster = CpuRasterizer(near=0.2)
    a, b = (raster.forward(x, camera, np.ones(3, np.float32)).rgb.copy()
            for x in (g, unpack(pack(g))))
    assert psnr(255 * a, 255 * b) > 42


def test_mouse_wheel_and_keys(requires_chromium, tmp_path):
    with opened(requires_chromium, page_of(tmp_path, cloud(1500))) as page:
        page.ready().settle()
        first, mouse = page.picture(), page.page.mouse

        def state():
            page.settle()
            return page.js("(view, orbit) => ({...orbit.now})")

        start = state()
        mouse.move(100, 120)
        mouse.down()
        mouse.move(160, 140, steps=5)
        mouse.up()
        turned = state()
        assert turned["yaw"] < start["yaw"] - 0.3 and turned["pitch"] > start["pitch"] + 0.1
        assert psnr(first, page.picture()) < 30
        mouse.wheel(0, -200)
        assert state()["distance"] < 0.9 * start["distance"]
        mouse.down(button="right")
        mouse.move(130, 160, steps=3)
        mouse.up(button="right")
        assert np.abs(np.subtract(state()["center"], start["center"])).max() > 0.01
        page.page.keyboard.press("ArrowRight")
        assert state()["yaw"] == pytest.approx(turned["yaw"] + 0.12)
        mouse.dblclick(128, 128)
        assert state() == start
        assert psnr(first, page.picture()) > 60
        page.page.keyboard.press("b")
        assert page.page.evaluate("document.documentElement.classList.contains('light')")
        assert page.complaints == []


def test_one_finger_turns_and_two_zoom(requires_chromium, tmp_path):
    phone = {"viewport": {"width": 195, "height": 422}, "device_scale_factor": 2,
             "is_mobile": True, "has_touch": True}
    with opened(requires_chromium, page_of(tmp_path, cloud(1500)), **phone) as page:
        page.ready().settle()
        session = page.context.new_cdp_session(page.page)

        def fingers(kind, *points):
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [
                {"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]})

        start = page.js("(view, orbit) => ({...orbit.now})")
        fingers("touchStart", (60, 200))
        for x in (80, 110, 140):
            fingers("touchMove", (x, 200))
        fingers("touchEnd")
        turned = page.settle().js("(view, orbit) => ({...orbit.now})")
        assert turned["yaw"] < start["yaw"] - 0.5
        fingers("touchStart", (80, 200), (120, 200))
        for d in (10, 20, 40):
            fingers("touchMove", (80 - d, 200), (120 + d, 200))
        fingers("touchEnd")
        zoomed = page.settle().js("(view, orbit) => ({...orbit.now})")
        assert zoomed["distance"] == pytest.approx(turned["distance"] * 40 / 120, rel=0.02)
        assert zoomed["yaw"] == pytest.approx(turned["yaw"])
        # Sharp on a dense screen, nothing cut off at the sides.
        assert page.js("view => [view.canvas.width, view.canvas.height]") == [390, 844]
        inside = page.page.evaluate("[...document.querySelectorAll('button, h1, #label, #help')]"
                                    ".every(e => { const b = e.getBoundingClientRect();"
                                    " return b.left >= 0 && b.right <= innerWidth; })")
        assert inside and page.complaints == []


def test_it_turns_by_itself_until_touched(requires_chromium, tmp_path):
    path = page_of(tmp_path, three(), turn=(-10, 90))
    with opened(requires_chromium, path, reduced_motion="no-preference") as page:
        page.ready()
        page.page.wait_for_function("() => document.querySelector('canvas').orbit.now.yaw > 0.05")
        assert page.page.get_attribute("#turn", "aria-pressed") == "true"
        page.page.mouse.click(128, 128)
        page.settle()
        assert page.page.get_attribute("#turn", "aria-pressed") == "false"


def test_it_opens_at_the_front_and_turns_no_further_than_was_seen(requires_chromium, tmp_path):
    with opened(requires_chromium, page_of(tmp_path, three(), turn=(-10, 90))) as page:
        page.ready().settle()
        orbit = "document.querySelector('canvas').orbit"
        assert page.page.evaluate(f"() => {orbit}.now.yaw") == 0
        for asked, got in ((3, 90), (-3, -10), (0.5, np.degrees(0.5))):
            page.page.evaluate(f"() => {orbit}.setView({{yaw: {asked}}}, {{jump: true}})")
            assert np.degrees(page.page.evaluate(f"() => {orbit}.now.yaw")) == pytest.approx(got)


def test_window_sizes_and_a_lost_context(requires_chromium, tmp_path):
    with opened(requires_chromium, page_of(tmp_path, three())) as page:
        before = page.ready().settle().picture()
        page.page.set_viewport_size({"width": 300, "height": 180})
        page.page.wait_for_function("() => document.querySelector('canvas').width === 300")
        page.page.set_viewport_size({"width": 256, "height": 256})
        page.page.wait_for_function("() => document.querySelector('canvas').width === 256")
        page.js("view => { window.lost = view.gl.getExtension('WEBGL_lose_context');"
                " lost.loseContext(); }")
        page.page.wait_for_function("() => !document.documentElement.matches('.ready')")
        assert page.page.locator("#message").is_visible()
        page.page.keyboard.press("c")                          # no picture without the head
        page.page.wait_for_function(
            "() => document.querySelector('#status').textContent.startsWith('Nothing was saved')")
        page.page.wait_for_timeout(100)
        page.js("() => lost.restoreContext()")
        page.ready().settle()
        assert psnr(before, page.picture()) > 60


@pytest.mark.parametrize("take_away,words", [
    ("HTMLCanvasElement.prototype.getContext = () => null", "WebGL2"),
    ("delete globalThis.DecompressionStream", "too old")])
def test_a_browser_that_cannot_says_so(requires_chromium, tmp_path, take_away, words):
    path = page_of(tmp_path, three())
    context = requires_chromium.new_context()
    context.add_init_script(take_away)
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".failed #message", timeout=30_000)
    assert re.search(words, page.inner_text("#message"))
    context.close()
