"""The page lays the imperceptible watermark over what it draws."""

import numpy as np
import pytest

from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.provenance.watermark import carriers_text, detect
from idf_helpers.provenance.watermark.pattern import TILE
from idf_helpers.reconstruction.splats.gaussians import SH_C0, Gaussians
from tests.browser.pages import FRAME, looking_from, opened, psnr

pytestmark = pytest.mark.browser
PAYLOAD = 0xC0FFEE11


def wall() -> Gaussians:
    """A smooth upright wall of the color of skin, which leaves some of the picture free."""
    at = np.stack(np.meshgrid(np.linspace(-0.7, 0.7, 20), [0.0], np.linspace(-0.6, 0.6, 20)), -1)
    n = at.size // 3
    return Gaussians(at.reshape(n, 3), np.full((n, 3), np.log(0.07)),
                     np.tile([1.0, 0, 0, 0], (n, 1)), np.full(n, 2.0),
                     np.tile((np.array([0.8, 0.6, 0.5]) - 0.5) / SH_C0, (n, 1, 1))).checked()


def test_every_picture_of_a_page_carries_it(requires_chromium, tmp_path):
    payload = ViewerPayload.of(wall(), FRAME, background="white")
    paths = [write_viewer(payload, tmp_path / f"{mark}.html", title="x", watermark=mark)
             for mark in (0, PAYLOAD)]
    camera = looking_from(0.3, -4, 0.5, size=(400, 400))
    shown = []
    for path in paths:
        with opened(requires_chromium, path, viewport={"width": 400, "height": 400}) as page:
            shown.append(page.ready().picture(camera))
            transparent = page.picture(camera, None)
            assert page.complaints == []
    plain, marked = shown
    assert detect(plain) is None
    assert detect(marked).payload == detect(marked[20:-20, 10:-30]).payload == PAYLOAD
    assert psnr(plain, marked) > 45
    nothing = (plain == 255).all(2)
    assert nothing.mean() > 0.1 and (marked[nothing] == 255).all()  # the background stays clean
    assert {0, 255} <= set(np.unique(transparent[..., 3]))


def test_the_page_makes_the_same_pattern(requires_chromium, tmp_path):
    """The tile that the page computes is the one that the embedder lays over pictures."""
    from idf_helpers.provenance.watermark.pattern import pattern
    from idf_helpers.provenance.watermark.payload import encode

    p = pattern()
    weights = np.where(p.owner < 0, 1, encode(PAYLOAD)[p.owner]) * p.signs
    path = write_viewer(ViewerPayload.of(wall(), FRAME), tmp_path / "v.html", title="x",
                        watermark=PAYLOAD)
    with opened(requires_chromium, path) as page:
        tile = page.ready().js("view => Array.from(view._tile)")
    np.testing.assert_allclose(np.reshape(tile, (TILE, TILE)), p.tile(weights), atol=2e-3)
    assert len(carriers_text(PAYLOAD)) == 43 * 22
