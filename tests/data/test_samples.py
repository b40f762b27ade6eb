"""The bundled heads: known by hash, cameras true to the geometry, splits, size, license."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

from idf_helpers.data import media, samples
from idf_helpers.errors import IdfError

CUT = 280  # the rehearsal's first frame in the talking sequence
COUNTS = {"head_multiview": (100, 10, 20), "head_talking": (316, 5, 60)}
LIMIT_MB = 45


@pytest.fixture(scope="module")
def truth():
    with np.load(samples.path("head_multiview") / "ground_truth.npz") as z:
        return dict(z)


@pytest.fixture(scope="module")
def multiview():
    return samples.dataset("head_multiview")


@pytest.fixture(autouse=True)
def nothing_remembered():
    samples._known.cache_clear()
    yield
    samples._known.cache_clear()


def test_names_and_paths():
    assert set(samples.names()) == {*samples.DATASETS, *samples.PHOTOS}
    for name in samples.names():
        assert samples.path(name).exists()
    with pytest.raises(IdfError, match="head_multiview, head_talking"):
        samples.path("head_of_nobody")
    with pytest.raises(IdfError, match="did you mean `head_talking`"):
        samples.dataset("head_talk")
    for ask, name in ((samples.photo, "head_multiview"), (samples.dataset, "B")):
        with pytest.raises(IdfError, match="no bundled"):
            ask(name)


def test_without_a_clone_the_error_says_to_make_one(monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "BESIDE", tmp_path)
    with pytest.raises(IdfError, match="git clone https://"):
        samples.photo("B")
    assert not samples.is_synthetic(b"anything")


def test_samples_that_lie_elsewhere(monkeypatch, tmp_path):
    """As for an installed package. A table of another hand says nothing of consent."""
    real = samples.photo("B")
    elsewhere = tmp_path / "samples"
    (elsewhere / "source_photos").mkdir(parents=True)
    shutil.copy(real, elsewhere / "source_photos" / "B.png")
    shutil.copy(samples.BESIDE / samples.TABLE, elsewhere)
    monkeypatch.setattr(samples, "BESIDE", tmp_path / "nothing")
    monkeypatch.setenv("IDF_SAMPLES", str(elsewhere))
    assert samples.photo("B") == elsewhere / "source_photos" / "B.png"
    assert samples.is_synthetic(real)
    media.write_image(elsewhere / "source_photos" / "B.png", np.zeros((4, 4, 3), np.uint8))
    samples.write_checksums(elsewhere)
    samples._known.cache_clear()
    assert not samples.is_synthetic(samples.photo("B")) and not samples.is_synthetic(real)


def test_all_pictures_are_as_listed():
    assert samples.changed() == []


def test_changed_files_are_found(tmp_path):
    media.write_image(tmp_path / "a" / "x.png", np.zeros((4, 5, 3), np.uint8))
    media.write_image(tmp_path / "y.png", np.ones((4, 5, 3), np.uint8))
    assert samples.write_checksums(tmp_path) == 2
    assert samples.changed(tmp_path) == []
    media.write_image(tmp_path / "a" / "x.png", np.full((4, 5, 3), 7, np.uint8))
    (tmp_path / "y.png").rename(tmp_path / "z.png")
    assert samples.changed(tmp_path) == ["a/x.png", "y.png", "z.png"]


def test_bundled_faces_are_known_however_they_come(tmp_path, multiview):
    photo = samples.photo("B")
    assert samples.is_synthetic(photo) and samples.is_synthetic(str(photo))
    assert samples.is_synthetic(photo.read_bytes())
    assert samples.is_synthetic(media.read_image(photo))
    assert all(samples.is_synthetic(f.path) for f in multiview.frames)
    # Rewritten pixels are known as pixels, not as a file; one changed value is another picture.
    copy = tmp_path / "copy.png"
    media.write_image(copy, media.read_image(photo), text={"note": "resaved"})
    assert not samples.is_synthetic(copy)
    picture = media.read_image(copy)
    assert samples.is_synthetic(picture)
    picture[100, 100, 0] ^= 1
    assert not samples.is_synthetic(picture)
    assert not samples.is_synthetic(tmp_path / "missing.png")
    assert not samples.is_synthetic(picture.reshape(256, 1024, 3))


@pytest.mark.parametrize("name", COUNTS)
def test_splits(name):
    data = samples.dataset(name)
    assert tuple(len(s) for s in (data.train, data.val, data.test)) == COUNTS[name]
    poses = {f.camera.c2w.tobytes() for f in data.frames}
    assert len(poses) == sum(COUNTS[name])  # no view twice, none in two splits


def test_multiview_cameras(multiview):
    directions = []
    for f in multiview.frames:
        c = f.camera
        assert (c.width, c.height) == (320, 320)
        assert math.isclose(math.degrees(c.fov_x), 29.0, abs_tol=1e-6)
        assert np.linalg.norm(c.position) == pytest.approx(4.0, abs=1e-5)
        np.testing.assert_allclose(c.forward, -c.position / 4, atol=1e-5)  # looks at the origin
        x, y, z = c.position / 4
        directions.append((math.degrees(math.atan2(x, -y)), math.degrees(math.asin(z))))
    yaw, pitch = np.array(directions).T
    assert np.mean(np.abs(yaw) <= 75) == pytest.approx(0.6)
    assert pitch.min() > -14.5 and pitch.max() < 34.5
    # All round: no gap of 20 degrees in yaw.
    around = np.sort(yaw)
    assert np.diff(np.append(around, around[0] + 360)).max() < 20


def test_landmarks_lie_on_the_head_in_every_view(multiview, truth):
    import cv2

    for f in multiview.frames:
        alpha = f.image()[..., 3]
        outside = cv2.distanceTransform((alpha < 128).astype(np.uint8), cv2.DIST_L2, 5)
        uv, depth = f.camera.project(truth["landmarks68"])
        assert (depth > 3).all() and (depth < 5).all()
        column, row = np.floor(uv).astype(int).T
        inside = (column >= 0) & (column < 320) & (row >= 0) & (row < 320)
        assert inside.all(), f.name
        assert outside[row, column].max() <= 1.5, f.name  # pixels; silhouettes pass through
    # The test can tell a wrong pose: a head turned by 5 degrees leaves its mask.
    f = min(multiview.train, key=lambda f: abs(f.camera.position[0] - 4))  # profile
    alpha = f.image()[..., 3]
    outside = cv2.distanceTransform((alpha < 128).astype(np.uint8), cv2.DIST_L2, 5)
    uv, _ = f.camera.project(truth["landmarks68"] @ _turn(5.0).T)
    column, row = np.clip(np.floor(uv).astype(int), 0, 319).T
    assert outside[row, column].max() > 1.5


def _turn(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def test_nose_tip_is_on_the_silhouette_in_profile(multiview, truth):
    """Pixel-accurate cameras: from the side the nose is the outermost point of its row."""
    checked = 0
    for f in multiview.frames:
        x, y, z = f.camera.position / 4
        yaw = math.degrees(math.atan2(x, -y))
        if 80 < abs(yaw) < 100:
            alpha = f.image()[..., 3]
            (u, v), = f.camera.project(truth["landmarks68"][30:31])[0]
            covered = np.flatnonzero(alpha[int(v)] > 127)
            edge = covered[0] if yaw > 0 else covered[-1] + 1
            assert abs(u - edge) < 2.5, f.name
            checked += 1
    assert checked >= 8


def test_surface_points(truth):
    assert truth["surface_points"].shape == truth["surface_normals"].shape == (3000, 3)
    np.testing.assert_allclose(np.linalg.norm(truth["surface_normals"], axis=1), 1, atol=1e-5)
    assert np.abs(truth["surface_points"]).max() < 1.25


def test_alpha_is_a_clean_mask(multiview):
    for f in multiview.frames[::7]:
        alpha = f.image()[..., 3]
        soft = np.mean((alpha > 0) & (alpha < 255))
        assert 0.002 < soft < 0.04, f.name  # antialiased edges, no veil
        assert 0.35 < np.mean(alpha > 127) < 0.55
        assert alpha[0].max() == 0 and alpha[-1].max() == 255  # air above, bust below


def test_turntable():
    data = samples.dataset("head_turntable")
    frames = sorted(data.frames, key=lambda f: int(f.name.rsplit("_", 1)[1]))
    assert len(frames) == 48
    for k, f in enumerate(frames):
        a, e = math.radians(7.5 * k), math.radians(6.0)
        expected = 4 * np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e),
                                 math.sin(e)])
        np.testing.assert_allclose(f.camera.position, expected, atol=1e-5)
        assert f.image().shape == (320, 320, 4)


def test_talking_sequence_is_continuous():
    """Two takes: a performance, and from CUT on a rehearsal of every expression, faster."""
    data = samples.dataset("head_talking")
    frames = sorted(data.frames, key=lambda f: int(f.name.rsplit("_", 1)[1]))
    assert [int(f.name[-4:]) for f in frames] == list(range(381))
    assert len(data.expression_names) == 53
    w = np.array([f.expression for f in frames])
    assert w.shape == (381, 76) and w.min() >= 0 and w.max() <= 1 and not w[:, 53:].any()
    assert (w[:CUT].max(0) > 0.05).sum() >= 20  # channels in use
    assert (w[CUT:].max(0) > 0.4).sum() >= 34 and (w[CUT:].sum(1) == 0).any()
    assert np.delete(np.abs(np.diff(w, axis=0)), CUT - 1, 0).max() < 0.35
    background = media.read_image(data.background).astype(int)
    before = None
    for k, f in enumerate(frames):
        R = f.camera.c2w[:3, :3]
        if k not in (0, CUT):
            last = frames[k - 1].camera.c2w[:3, :3]
            angle = math.degrees(math.acos(min(1.0, (np.trace(last.T @ R) - 1) / 2)))
            assert angle < (3.0 if k < CUT else 5.0), f.name
        assert np.linalg.norm(f.camera.position) == pytest.approx(0.5, abs=0.01)
        top, bottom, left, right = f.bbox
        assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
        if k % 4 == 0:  # decoding every fourth is enough
            image = f.image().astype(int)
            if before is not None and k != CUT:
                assert np.abs(image - before).mean() < (12 if k < CUT else 20)
            before = image
            head = np.abs(image - background).max(-1) > 24
            rows = np.flatnonzero(head.sum(1) > 3)
            assert abs(rows[0] - top * 256) < 8, f.name  # the box begins at the hair
            assert not head[:200, :8].any()  # the room stands still


def test_size_and_license():
    files = [p for p in samples.root().rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < LIMIT_MB * 1e6
    notice = (samples.root() / "LICENSE-ICT-FaceKit.txt").read_text(encoding="utf-8")
    assert "MIT License" in notice and "2020 USC Institute for Creative Technologies" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice
    readme = (samples.root() / "README.md").read_text(encoding="utf-8")
    assert "LICENSE-ICT-FaceKit.txt" in readme
    for file in samples.root().rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8"))


def test_principal_points_lie_in_the_middle():
    """Blender's pictures are centered; NeRFace's whole-pixel convention must not shift them."""
    for name in samples.DATASETS:
        camera = samples.dataset(name).frames[0].camera
        assert (camera.cx, camera.cy) == (camera.width / 2, camera.height / 2), name
