"""What the notebook shows of a swap on its way: the photo prepared, and the compositor's bands."""

import cv2
import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import samples
from idf_helpers.data.contact_sheet import PAPER
from idf_helpers.data.media import read_image, resize_area
from idf_helpers.data.sequence import frames_by_yaw
from idf_helpers.face.detector import LandmarkDetector
from idf_helpers.notebook.swap_steps import bands, bands_picture, source_picture
from idf_helpers.swapping.mesh.per_picture import swap_mesh
from idf_helpers.swapping.source import from_image, load_source


@pytest.fixture(scope="module")
def frontal():
    return frames_by_yaw(samples.dataset("head_multiview").frames, [0])[0][1].image()


@pytest.fixture(scope="module")
def photo():
    return load_source(samples.photo("B"))


def with_glasses(image, face):
    """Thin dark rims around both eyes."""
    out = image.copy()
    for ring in (slice(None, 5), slice(5, None)):
        center = tuple(int(v) for v in face.landmarks.iris[ring][0, :2])
        cv2.circle(out, center, round(0.13 * face.landmarks.size), (15, 15, 15),
                   max(2, round(0.02 * face.landmarks.size)), cv2.LINE_AA)
    return out


def test_the_photo_as_given_without_glasses_and_what_may_be_used(photo, tmp_path):
    image = with_glasses(photo.image, photo)
    worn = from_image(image)
    assert photo.given is None and worn.given.shape == worn.image.shape
    rims = np.abs(image.astype(int) - photo.image).max(-1) > 60
    assert np.array_equal(worn.given, image)
    left_of_it = np.abs(worn.image.astype(int) - photo.image).max(-1) > 60
    assert (left_of_it & rims).sum() < 0.5 * rims.sum()  # the rims were taken off
    cv2.imwrite(str(tmp_path / "worn.png"), image[..., ::-1])
    sheet = source_picture(tmp_path / "worn.png", 240).astype(int)
    sheet = sheet[-resize_area(worn.even, 240, 240).shape[0]:]  # below the captions
    assert sheet.shape[1] == 3 * 240
    left, even, used = np.split(sheet, 3, axis=1)
    mesh = (left[..., 1] > left[..., 0] + 60) & (left[..., 1] > left[..., 2] + 30)
    assert mesh.mean() > 0.03 and not (even[..., 1] > even[..., 0] + 60).any()
    assert np.array_equal(even, resize_area(worn.even, 240, 240))
    assert (used[:8] == PAPER).all() and (np.abs(used - PAPER).max(-1) > 20).mean() > 0.1


def test_bands_add_up_and_each_is_whose_it_is_said_to_be(frontal, photo):
    seen = []
    found = LandmarkDetector().detect(frontal)[0]
    result = swap_mesh(frontal, found, photo, watch=lambda *both: seen.append(both))
    (pair, face), = seen
    assert np.array_equal(result.image, swap_mesh(frontal, found, photo).image)
    target, source, made = (bands(lab, pair) for lab in (pair.target, pair.source, face))
    assert np.allclose(sum(made), face, atol=1e-3)
    inside = pair.skin > 0.9
    inside[round(0.55 * len(inside)):] = False  # below is his beard, which stays what it is

    def apart(a, b, band):
        return float(np.abs(a[band] - b[band])[inside].mean())

    assert apart(made, target, 0) < 0.25 * apart(made, source, 0)  # light and tan: the target's
    own = np.maximum(pair.brows, pair.lips) > 0.5
    assert np.abs(made[1] - source[1])[own].mean() < np.abs(made[1] - target[1])[own].mean()
    fine = [np.median(np.abs(b[2][..., 0])[inside]) for b in (target, source, made)]
    assert abs(fine[2] - fine[0]) < abs(fine[1] - fine[0])  # as much grain as the target has


def test_the_sheet_of_bands(frontal, photo):
    sheet = bands_picture(frontal, photo, 100)
    assert sheet.shape[1] > 400 and sheet.dtype == np.uint8  # the rows are named to the left
    middle = [r[30:-30, -170:-130].astype(int) for r in np.array_split(sheet, 3)]  # features
    assert all(abs(m.mean() - 119) < 30 for m in middle)  # on gray
    with pytest.raises(IdfError, match="no face was found"):
        bands_picture(np.full((200, 200, 3), 128, np.uint8), photo)
    bundled = read_image(samples.photo("C"))
    assert bands_picture(np.rot90(bundled).copy(), photo, 80).shape[1] > 320  # on its side
