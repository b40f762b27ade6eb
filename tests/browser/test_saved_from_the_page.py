"""Pictures and videos that people save from the page: marked for eyes and for machines."""

import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.data.media import read_image, read_video, video_info
from idf_helpers.exporting.html import write_viewer
from idf_helpers.exporting.payload import ViewerPayload
from idf_helpers.provenance.verify import verify
from tests.browser.pages import FRAME
from tests.fixtures.gaussians import three
from tests.fixtures.talking_ball import BallScene

from .pages import opened, psnr

pytestmark = pytest.mark.browser
LABEL = "SYNTHETIC face"
MARK = provenance.Mark("0123456789ab", "a face swap", "compositeWithTrainedAlgorithmicMedia",
                       consent="c" * 64)


@pytest.fixture
def marked(tmp_path):
    def write(payload, label=LABEL):
        path = write_viewer(payload, tmp_path / "v.html", title="Anna & Otto", label=label)
        return provenance.mark(path, MARK)
    return write


def saved(page, click, tmp_path):
    with page.page.expect_download(timeout=120_000) as download:
        click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def says_what_it_is(path, kind):
    found = verify(path)
    assert found.synthetic and found.problems == ()
    assert found.source_type == MARK.source_type and found.fields["consent"] == MARK.consent
    assert found.fields["run_id"] == MARK.run_id
    assert found.fields["made"] == f"{kind} of a face swap"
    return found.layers


def plate(picture) -> float:
    """Share of light pixels in the dark plate in the lower left corner; 0 where there is none."""
    h, w = picture.shape[:2]
    size = max(12, 0.045 * h)  # of the words, where they fit
    top, bottom = round(h - 2.5 * size) + 1, round(h - 0.6 * size) - 1
    corner = picture[top:bottom, round(1.1 * size):round(0.3 * w)].max(axis=2)
    dark = (corner < 60).mean() > 0.5 and corner[:2].mean() < 60
    return float((corner > 200).mean()) if dark else 0.0


def test_a_picture_carries_the_label_and_the_mark(requires_chromium, marked, tmp_path):
    path = marked(ViewerPayload.of(three(), FRAME, background="white", soft_edge=False))
    with opened(requires_chromium, path) as page:
        page.ready().settle()
        file = saved(page, lambda: page.page.keyboard.press("c"), tmp_path)
        assert file.name == "Anna-Otto.png"
        assert says_what_it_is(file, "a picture") == ("XMP", "text")
        shown, picture = page.picture(), read_image(file)
        assert picture.shape == (256, 256, 3) and 0.01 < plate(picture) < 0.5
        assert psnr(picture[:200], shown[:200]) > 42 > psnr(picture[:200], shown[4:204])
        assert LABEL in page.page.inner_text("#status")
        assert page.complaints == []
        assert [u for u in page.requests if not u.startswith(("file:", "blob:"))] == []


def test_a_video_is_one_whole_turn_with_label_and_mark(requires_chromium, marked, tmp_path):
    frame = ViewerPayload.of(three(), FRAME, background="white", soft_edge=False)
    with opened(requires_chromium, marked(frame), viewport={"width": 128, "height": 128}) as page:
        page.ready().settle()
        page.page.wait_for_selector("#video:not([hidden])")
        now = "(view, {now}) => [now.yaw, now.pitch, now.distance]"
        start = page.js(now)
        file = saved(page, lambda: page.page.click("#video"), tmp_path)
        assert file.name == "Anna-Otto.webm" and says_what_it_is(file, "a video") == (
            "video comment", "XMP")
        frames = list(read_video(file))
        assert len(frames) == 180 and frames[0].shape == (128, 128, 3)
        assert video_info(file).duration == pytest.approx(6.0, abs=0.05)
        assert all(plate(f) > 0.005 for f in frames[::45])
        front, side, back = (f[:100].astype(float) for f in (frames[0], frames[45], frames[90]))
        assert psnr(front, frames[179][:100]) > 25 > max(psnr(front, side), psnr(front, back))
        assert page.settle().js(now) == pytest.approx(start)
        assert page.complaints == []


def test_a_second_press_stops_a_recording_and_saves_nothing(requires_chromium, marked):
    path = marked(ViewerPayload.of(three(), FRAME, soft_edge=False))
    with opened(requires_chromium, path) as page:
        page.ready()
        page.page.wait_for_selector("#video:not([hidden])")
        page.page.evaluate("document.querySelector('#video').click()")
        assert page.page.get_attribute("#video", "aria-pressed") == "true"
        page.page.evaluate("document.querySelector('#video').click()")
        page.page.get_by_text("Stopped: nothing was saved.").wait_for()
        assert page.page.get_attribute("#video", "aria-pressed") == "false"


def test_without_an_encoder_there_is_no_button_for_videos(requires_chromium, marked):
    path = marked(ViewerPayload.of(three(), FRAME, soft_edge=False))
    context = requires_chromium.new_context()
    context.add_init_script("delete globalThis.VideoEncoder")
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".ready")
    page.wait_for_timeout(100)
    assert page.locator("#video").is_hidden() and page.locator("#picture").is_visible()
    context.close()


def test_the_poster_is_the_first_view_and_stays_where_nothing_can_be_drawn(requires_chromium,
                                                                            marked):
    path = marked(ViewerPayload.of_scene(BallScene(), soft_edge=False))
    wide = {"width": 900, "height": 500}
    with opened(requires_chromium, path, viewport=wide) as page:
        page.ready().settle()
        boxes = [page.page.locator(i).bounding_box() for i in ("#poster", "#view")]
        assert boxes[0] == boxes[1]
        drawn = page.picture(background=None).astype(float)
        poster = page.page.evaluate("""() => { const p = document.querySelector('#poster');
          const c = document.createElement('canvas');
          const v = document.querySelector('#view'); c.width = v.width; c.height = v.height;
          const side = Math.min(c.width, c.height), x = c.getContext('2d');
          x.drawImage(p, (c.width - side) / 2, (c.height - side) / 2, side, side);
          return [...x.getImageData(0, 0, c.width, c.height).data]; }""")
        poster = np.array(poster, float).reshape(drawn.shape)
        assert psnr(poster[..., 3], drawn[..., 3]) > 22 > psnr(poster[..., 3],
                                                               np.roll(drawn[..., 3], 20, 1))
    context = requires_chromium.new_context(viewport=wide)
    context.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page = context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".failed")
    poster = page.locator("#poster")
    assert poster.evaluate("e => e.naturalWidth > 0 && +getComputedStyle(e).opacity")
    assert page.locator("nav").is_hidden()  # its buttons would do nothing
    assert page.locator("#label").is_visible() and "WebGL2" in page.inner_text("#message")
    context.close()
