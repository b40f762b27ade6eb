"""The page of a restyled head: one slider from the original to the style, as the kernel mixes them.
"""

from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.exporting import Model, export
from idf_helpers.exporting.config import ExportConfig
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.provenance import Mark
from idf_helpers.reconstruction.splats.scene import GaussianScene
from tests.fixtures.talking_ball import talking_ball

from .pages import CAMERA, TOLERANCE, WINDOW, drawn, opened, psnr

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def scene():
    """A ball with view-dependent colors, and the same in others, whose Gaussians moved a little."""
    g = talking_ball().gaussians.with_bases(16)
    rng = np.random.default_rng(2)
    g.sh[:, 1:] = rng.normal(0, 0.05, g.sh[:, 1:].shape)
    sh = g.sh.copy()
    sh[:, 0] = -0.6 * sh[:, 0, ::-1]
    sh[:, 1:9] += rng.normal(0, 0.06, sh[:, 1:9].shape)
    sh[:, 9:] = 0
    after = replace(g, sh=sh, means=g.means + rng.normal(0, 0.004, g.means.shape)).checked()
    cameras = [replace(CAMERA, c2w=CAMERA.c2w), *(looking(a) for a in (0, 90, 180, 270))]
    return GaussianScene(after, cameras=cameras, original=g)


def looking(degrees):
    from tests.browser.pages import looking_from

    a = np.radians(degrees)
    return looking_from(4 * np.sin(a), -4 * np.cos(a), 0)


def kernel(scene, intensity):
    rgb = scene.at_intensity(intensity).render(CAMERA)
    return np.clip(np.rint(255 * rgb), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def path(scene, tmp_path_factory):
    payload = ViewerPayload.of_scene(scene, soft_edge=False)
    return write_viewer(payload, tmp_path_factory.mktemp("page") / "style.html", title="A head")


def test_the_slider_mixes_as_the_kernel_does(requires_chromium, scene, path):
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        slider = page.ready().page.get_by_role("slider", name="Style")
        assert slider.input_value() == "1"
        shown = {1.0: drawn(page)}
        for beta in (0.0, 0.5, 1.5):
            slider.fill(str(beta))
            shown[beta] = drawn(page)
        for beta, picture in shown.items():
            assert psnr(picture, kernel(scene, beta)) > TOLERANCE - 3 * (beta > 0), beta
        before = np.clip(np.rint(255 * GaussianScene(scene.original).render(CAMERA)), 0, 255)
        assert psnr(shown[0.0], before) > TOLERANCE
        assert psnr(shown[0.0], shown[0.5]) < 35 > psnr(shown[0.5], shown[1.0])
        assert [r for r in page.requests if not r.startswith(("file:", "data:"))] == []
        assert page.complaints == []


def test_it_goes_by_keys_has_a_name_and_stands_in_the_address(requires_chromium, path):
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        one = page.ready().page
        assert "#" not in one.url  # nothing is said of the start
        slider = one.get_by_role("slider", name="Style")
        assert one.get_by_role("region", name="Style").is_visible()
        for name in ("Animate", "Neutral", "Look at pointer"):
            assert one.get_by_role("button", name=name, exact=True).count() == 0, name
        slider.focus()
        one.keyboard.press("ArrowLeft")
        assert slider.input_value() == "0.99"
        one.get_by_role("button", name="Original", exact=True).click()
        one.wait_for_function("() => location.hash === '#style=0'")
        slider.fill("0.6")
        one.wait_for_function("() => location.hash === '#style=0.6'")
        url = one.url
        slider.dblclick()
        assert slider.input_value() == "1"
        assert page.complaints == []
    with opened(requires_chromium, path, viewport=WINDOW) as page:
        page.ready().page.goto(url)
        value = "() => document.querySelector('canvas').face.value[0]"
        page.page.wait_for_function(f"() => Math.abs(({value})() - 0.6) < 1e-3")
        for hostile in ("style=9", "style=-1", "style=NaN", "style=", "face=0:0.2", "style=1:1"):
            page.page.goto(f"{url.split('#')[0]}#{hostile}")
            page.page.wait_for_timeout(50)
            assert 0 <= page.page.evaluate(value) <= 1.5
        assert page.complaints == []


def test_a_page_starts_where_it_was_asked_to_and_others_have_no_slider(
        requires_chromium, scene, tmp_path):
    model = Model(scene, Mark("run", "a restyled ball"), tmp_path, "ball", {})
    page = export(model, tmp_path / "a.html", config=ExportConfig(intensity=0.25))
    with opened(requires_chromium, page, viewport=WINDOW) as shown:
        slider = shown.ready().page.get_by_role("slider", name="Style")
        assert slider.input_value() == "0.25"
        assert psnr(drawn(shown), kernel(scene, 1.0)) < 40
    plain = replace(model, scene=replace(scene, original=None))
    page = export(plain, tmp_path / "b.html")
    with opened(requires_chromium, page, viewport=WINDOW) as shown:
        assert shown.ready().page.get_by_role("slider").count() == 0
