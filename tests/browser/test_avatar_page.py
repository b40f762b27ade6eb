"""The exported page of an avatar: its sliders move the face as the kernel does, offline."""

import numpy as np
import pytest

from idf_helpers.exporting.avatar_payload import Track, rig_of
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.reconstruction.splats.rasterizer import CpuRasterizer
from tests.fixtures.talking_ball import MOUTH, NAMES, at, talking_ball

from .pages import CAMERA, FRAME, TOLERANCE, WINDOW, drawn, opened, psnr

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def avatar():
    return talking_ball()


@pytest.fixture(scope="module")
def path(avatar, tmp_path_factory):
    seconds = np.linspace(0, 2, 11)[:, None]
    track = Track(0.5 - 0.5 * np.cos(np.pi * seconds * np.arange(1, len(NAMES) + 1)), fps=5)
    gaussians, rig = rig_of(avatar, track)
    payload = ViewerPayload.of(gaussians, FRAME, soft_edge=False, rig=rig)
    return write_viewer(payload, tmp_path_factory.mktemp("page") / "avatar.html", title="A head",
                        label="Synthetic")


def kernel(avatar, expression) -> np.ndarray:
    gaussians, white = at(avatar, expression), np.ones(3, np.float32)
    rgb = CpuRasterizer(near=0.2).forward(gaussians, CAMERA, white).rgb
    return np.clip(np.rint(255 * rgb.transpose(1, 2, 0)), 0, 255).astype(np.uint8)


def mouth_box():
    """Rows and columns of the picture around the mouth."""
    (x, y), = CAMERA.project(MOUTH[None])[0]
    return slice(int(y) - 25, int(y) + 35), slice(int(x) - 30, int(x) + 30)


def test_the_face_moves_as_the_kernel_moves_it_with_no_request(requires_chromium, avatar, path):
    jaw = avatar.basis.neutral.copy()
    jaw[0] = 1.0
    mixed = np.random.default_rng(0).uniform(0, 1, len(NAMES)).astype(np.float32)
    mixed[-1] = 0.3
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        neutral = drawn(page.ready())
        assert psnr(neutral, kernel(avatar, avatar.basis.neutral)) > TOLERANCE
        slider = page.page.get_by_role("slider", name="Jaw open")
        slider.fill("1")  # what a hand does, as one event
        opened_mouth = drawn(page)
        assert psnr(opened_mouth, kernel(avatar, jaw)) > TOLERANCE
        assert psnr(opened_mouth, neutral) < TOLERANCE - 12  # a face that stays still would show
        off = np.abs(opened_mouth.astype(float) - neutral).sum(axis=2)
        rows, columns = mouth_box()
        assert off[rows, columns].mean() > 40
        assert off[:rows.start - 30].mean() < 0.5  # eyes and brow keep still
        page.page.evaluate("e => document.querySelector('canvas').face.set(e)", mixed.tolist())
        assert psnr(drawn(page), kernel(avatar, mixed)) > TOLERANCE
        page.page.get_by_role("button", name="Surprise").click()  # an expression of its own
        surprised = avatar.basis.neutral.copy()
        surprised[0] = 0.8
        assert psnr(drawn(page), kernel(avatar, surprised)) > TOLERANCE
        page.page.get_by_role("button", name="Neutral").click()
        assert psnr(drawn(page), neutral) > 60
        assert page.complaints == [] and page.requests == [path.as_uri()]


def test_depth_order_follows_the_moved_gaussians(requires_chromium, tmp_path):
    """Two plates change places: the one that was behind is in front, and covers the other."""
    from types import SimpleNamespace

    from tests.fixtures.gaussians import three

    g = three()
    deltas = {"means": np.zeros((1, 3, 3)), "log_scales": np.zeros((1, 3, 3)),
              "quats": np.zeros((1, 3, 4)), "opacity_logits": np.zeros((1, 3)),
              "sh": np.zeros((1, 3, 3))}
    deltas["means"][0, 0], deltas["means"][0, 2] = [0, 1.0, 0], [0, -1.0, 0]
    one = np.ones(1, np.float32)
    basis = SimpleNamespace(names=("swap",), weights=one[:, None], low=0 * one, high=one,
                            neutral=0 * one)
    ball = SimpleNamespace(basis=basis, gaussians=g, deltas=deltas, still=None, extra={},
                           meta={})
    payload = ViewerPayload.of(g, FRAME, soft_edge=False, rig=rig_of(ball)[1])
    page_path = write_viewer(payload, tmp_path / "v.html", title="A")
    with opened(requires_chromium, page_path, viewport=WINDOW) as page:
        for value in (0.0, 1.0):
            page.ready().page.get_by_role("slider", name="Swap").fill(str(value))
            assert psnr(drawn(page), kernel(ball, [value])) > TOLERANCE
        assert page.page.locator("#play").is_hidden() and page.page.locator("#search").is_hidden()


def test_sides_search_and_the_recorded_track(requires_chromium, path):
    with opened(requires_chromium, path, viewport={"width": 900, "height": 600}) as page:
        value = "() => [...document.querySelector('canvas').face.value]"
        find, rows = page.page.locator("#search"), page.page.locator("#sliders label")
        page.ready()
        assert rows.count() == 6 and rows.first.inner_text().startswith("Jaw open")
        page.page.get_by_role("slider", name="Mouth smile").fill("0.5")
        assert page.page.evaluate(value)[1:3] == pytest.approx([0.5, 0.5])
        page.page.get_by_label("Both sides together").uncheck()
        page.page.get_by_role("slider", name="Mouth smile (left)").fill("0.9")
        assert page.page.evaluate(value)[1:3] == pytest.approx([0.9, 0.5])
        find.fill("sneer left")
        assert rows.all_inner_texts()[0].startswith("Nose sneer (left)") and rows.count() == 1
        find.press("b")  # a letter, not the shortcut
        assert page.page.evaluate("document.documentElement.classList.contains('light')") is False
        find.fill("")
        page.page.get_by_role("button", name="All 9 expressions").click()
        assert rows.count() == 12 and page.page.locator("#sliders h2").count() == 4
        page.page.get_by_role("button", name="Animate").click()
        before = page.page.evaluate(value)
        page.page.wait_for_function("v => Math.abs(document.querySelector('canvas').face.value[0]"
                                    " - v) > 0.05", arg=before[0])
        page.page.get_by_role("button", name="Animate").click()
        page.settle()
        assert page.complaints == []


def test_a_phone_shows_head_label_and_sliders_without_overlap(requires_chromium, path, tmp_path):
    phone = {"viewport": {"width": 390, "height": 700}, "is_mobile": True, "has_touch": True}
    with opened(requires_chromium, path, **phone) as page:
        page.ready()
        box = {i: page.page.locator(i).bounding_box() for i in ("#view", "#face", "#label")}
        sheet = box["#face"]["y"]
        assert box["#view"]["y"] + box["#view"]["height"] <= sheet + 1
        assert box["#label"]["y"] + box["#label"]["height"] <= sheet
        assert page.page.locator("#sliders input").nth(3).bounding_box()["y"] < 700
        assert page.page.evaluate("document.documentElement.scrollWidth") == 390
        page.page.locator("#fold").tap()
        page.page.wait_for_function("() => document.querySelector('#view').clientHeight > 600")
        assert page.page.locator("#label").is_visible()
