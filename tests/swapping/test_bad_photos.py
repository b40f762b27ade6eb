"""Source photos as people have them: what is refused, what it says, and what is taken."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from idf_helpers.data import samples
from idf_helpers.errors import IdfError
from idf_helpers.swapping.job import read_sources
from idf_helpers.swapping.source import MIN_FACE, load_source


def as_bytes(picture, mode="RGB", suffix="PNG", **options) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(picture)
    image = image.quantize(256) if mode == "P" else image.convert(mode)
    image.save(out, suffix, **options)
    return out.getvalue()


def fails(picture) -> IdfError:
    with pytest.raises(IdfError) as error:
        read_sources(as_bytes(picture), None)
    assert error.value.what and error.value.found and error.value.do
    return error.value


def test_no_face_and_half_a_face(photos, detector):
    assert "no face" in fails(np.full((300, 400, 3), 127, np.uint8)).what
    nose = int(detector.detect(photos["B"])[0].xy[4, 0])
    assert "no face" in fails(photos["B"][:, :nose]).what


def test_a_small_face_is_refused_with_its_size(photos, detector):
    size = detector.detect(photos["B"])[0].size
    for wanted in (40, 47):
        small = cv2.resize(photos["B"], None, fx=wanted / size, fy=wanted / size,
                           interpolation=cv2.INTER_AREA)
        error = fails(small)
        assert "too small" in error.what
        assert abs(int(error.found.split(" px")[0]) - wanted) <= 2
    enough = 1.1 * MIN_FACE / size
    large = cv2.resize(photos["B"], None, fx=enough, fy=enough, interpolation=cv2.INTER_AREA)
    assert load_source(as_bytes(large)).landmarks.size >= MIN_FACE


def test_two_faces(photos):
    error = fails(np.concatenate([photos["B"], photos["C"]], axis=1))
    assert "2 faces" in error.what and "--face" in error.do


def test_a_group_photo_with_one_of_them_on_the_head(photos):
    both = np.concatenate([photos["B"], photos["C"][::-1, ::-1]], axis=1)
    assert "2 faces" in fails(both).what
    a = load_source(as_bytes(both), face=1)
    b = load_source(as_bytes(photos["C"]))
    assert np.abs(a.landmarks.points - b.landmarks.points).max() < 0.1 * b.landmarks.eye_distance


def test_a_profile_alone_is_refused(head_views):
    aside = [v for v in head_views if abs(v.yaw) > 62 and v.faces]
    assert aside
    flat = [cv2.resize(v.image[..., :3], None, fx=2, fy=2) for v in aside]
    seen = [p for p, v in zip(flat, aside, strict=True) if abs(v.faces[0].yaw) > 60]
    error = fails(seen[0])
    assert "from the side" in error.what and "degrees" in error.found
    photo = samples.photo("C").read_bytes()
    read_sources([as_bytes(seen[0]), photo], None)  # beside another one it adds a cheek
    with pytest.raises(IdfError, match="All source photos show a face from the side"):
        read_sources([as_bytes(seen[0]), as_bytes(seen[0])], None)


@pytest.mark.parametrize("kind", ["gray", "CMYK", "16 bit", "gray 16 bit", "palette"])
def test_other_kinds_of_pictures(photos, kind):
    rgb = photos["C"]
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if kind == "16 bit":
        photo = cv2.imencode(".png", rgb[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    elif kind == "gray 16 bit":
        photo = cv2.imencode(".png", gray.astype(np.uint16) * 257)[1].tobytes()
    else:
        photo = {"gray": lambda: as_bytes(rgb, "L"), "palette": lambda: as_bytes(rgb, "P"),
                 "CMYK": lambda: as_bytes(rgb, "CMYK", "JPEG", quality=95)}[kind]()
    got, plain = load_source(photo), load_source(as_bytes(rgb))
    assert got.image.dtype == np.uint8 and got.image.shape[2] == 3
    moved = np.linalg.norm(got.landmarks.xy - plain.landmarks.xy, axis=1).mean()
    assert moved < 0.03 * plain.landmarks.eye_distance
    wanted = plain.image if "gray" not in kind else np.repeat(
        cv2.cvtColor(plain.image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if got.image.shape == wanted.shape:
        assert np.abs(got.image.astype(int) - wanted).mean() < 12
