"""Every lens against COLMAP's own code, and pictures through each of them against the truth."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers import Dataset, IdfError
from idf_helpers.data import media
from idf_helpers.data.cameras import GL_TO_CV, Camera, look_at_matrix
from idf_helpers.data.lens import MODELS, Lens
from idf_helpers.data.understood import understand

from .colmap_files import Model

try:
    import pycolmap  # an extra
except ImportError:
    pycolmap = None

W, H = 96, 64
BENT = {  # parameters behind focal lengths and center
    "SIMPLE_PINHOLE": (), "PINHOLE": (), "SIMPLE_RADIAL": (-0.12,), "RADIAL": (0.15, -0.05),
    "OPENCV": (-0.2, 0.05, 0.01, -0.02), "OPENCV_FISHEYE": (-0.1, 0.05, -0.02, 0.004),
    "FULL_OPENCV": (0.1, -0.03, 0.01, -0.01, 0.02, 0.2, 0.01, 0.01), "FOV": (0.9,),
    "SIMPLE_RADIAL_FISHEYE": (0.05,), "RADIAL_FISHEYE": (0.06, -0.01),
    "THIN_PRISM_FISHEYE": (0.05, -0.01, 0.003, -0.004, 0.002, 0.001, 0.004, -0.003),
    "RAD_TAN_THIN_PRISM_FISHEYE": (0.05, -0.02, 0.01, -0.002, 0.001, 0.0, 0.004, -0.003, 0.005,
                                   -0.001, 0.004, 0.002),
    "SIMPLE_DIVISION": (-0.15,), "DIVISION": (-0.1,), "SIMPLE_FISHEYE": (), "FISHEYE": (),
    "EUCM": (0.6, 1.1)}
KNOWN = [m for m in BENT if pycolmap and hasattr(pycolmap.CameraModelId, m)]


def parameters(model, f=60.0, w=W, h=H):
    first = [f] if MODELS[model].focal == 1 else [f, 1.1 * f]
    return (*first, w / 2 + 3, h / 2 - 2, *BENT[model])


def sky(d):
    """Smooth colors by direction (..., 3): what every picture here shows."""
    d = d / np.linalg.norm(d, axis=-1, keepdims=True)
    return np.stack([0.5 + 0.4 * np.sin(5 * d[..., 0] + 1), 0.5 + 0.4 * np.sin(6 * d[..., 1]),
                     0.5 + 0.4 * np.sin(4 * d[..., 2] + d[..., 0])], axis=-1)


def bytes_of(colors):
    return np.rint(255 * colors).astype(np.uint8)


def truth(camera):
    return bytes_of(sky(camera.rays()[1]))


def poses(count=3):
    return [look_at_matrix([3 * np.sin(a), 0.3 * a, 3 * np.cos(a)], [0, 0, 0], [0, 1, 0.1])
            for a in np.linspace(0, 2, count)]


def psnr(image, expected):
    """dB where the picture is opaque."""
    opaque = image[..., 3] == 255 if image.shape[2] == 4 else np.ones(image.shape[:2], bool)
    error = (image[..., :3].astype(float) - expected)[opaque] / 255
    return -10 * np.log10((error**2).mean() + 1e-9), opaque.mean()


@pytest.mark.parametrize("model", KNOWN)
def test_rays_meet_the_picture_where_colmap_says(model):
    p = parameters(model)
    camera = pycolmap.Camera(model=model, width=W, height=H, params=p)
    lens = Lens(model, BENT[model], p[0], p[MODELS[model].focal - 1], W / 2 + 3, H / 2 - 2, W, H)
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.uniform(-0.6, 0.6, (50, 2)), np.ones((50, 1))], axis=1)
    u, v = lens.project(*points.T)
    assert np.abs(np.stack([u, v], 1) - camera.img_from_cam(points)).max() < 1e-6


@pytest.mark.parametrize("model", KNOWN)
def test_a_colmap_picture_through_each_lens_comes_out_right(tmp_path, model):
    camera = pycolmap.Camera(model=model, width=W, height=H, params=parameters(model))
    x, y = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    rays = camera.cam_from_img(np.stack([x.ravel(), y.ravel()], 1)).reshape(H, W, 2)
    rays = np.dstack([rays, np.ones((H, W))])
    listed = []
    for i, c2w in enumerate(poses()):
        listed.append((f"{i}.png", c2w, 1))
        media.write_image(tmp_path / f"images/{i}.png",
                          bytes_of(sky(rays @ (c2w @ GL_TO_CV)[:3, :3].T)))
    Model({1: (model, W, H, parameters(model))}, listed, np.zeros((0, 6))).write(
        tmp_path / "sparse/0", text=True)
    data = Dataset.open(tmp_path)
    straight = model in ("SIMPLE_PINHOLE", "PINHOLE")
    assert (data.train[0].lens is None) == straight
    assert any(model in n for n in data.notes) != straight
    assert understand(data).lenses == {model: 3}
    for f in data.frames:
        db, opaque = psnr(f.image(), truth(f.camera))
        assert db > 38 and opaque > 0.6


def transforms(root, top, frames=3, w=W, h=H, picture=None):
    """A transforms.json with pictures made by `picture(rays -> colors)`; returns the dataset."""
    entries = []
    for i, c2w in enumerate(poses(frames)):
        media.write_image(root / f"images/{i}.png", picture(c2w))
        entries.append({"file_path": f"images/{i}.png", "transform_matrix": c2w.tolist()})
    (root / "transforms.json").write_text(json.dumps(top | {"frames": entries}))
    return Dataset.open(root)


def through(ray_of_pixel, w=W, h=H):
    """A picture whose pixel (x, y) sees the ray (OpenCV axes) that `ray_of_pixel` gives."""
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    rays = ray_of_pixel(x, y)
    return lambda c2w: bytes_of(sky(rays @ (c2w @ GL_TO_CV)[:3, :3].T))


def fisheye_ray(fx, fy, cx, cy, k):
    def ray(x, y):
        bent = np.stack([(x - cx) / fx, (y - cy) / fy], -1).reshape(-1, 1, 2)
        flat = cv2.fisheye.undistortPoints(bent, np.eye(3), np.array(k)).reshape(*x.shape, 2)
        return np.dstack([flat, np.ones(x.shape)])
    return ray


@pytest.mark.parametrize("said", [{"camera_model": "OPENCV_FISHEYE"}, {"is_fisheye": True},
                                  {"camera_model": "FISHEYE"}, {"camera_model": "opencv-fisheye"}])
def test_fisheye_of_transforms_is_straightened_as_opencv_does(tmp_path, said):
    k = (-0.1, 0.05, -0.02, 0.004)
    data = transforms(tmp_path, said | {"fl_x": 60, "fl_y": 66, "cx": 50, "cy": 30, "w": W, "h": H}
                      | dict(zip(("k1", "k2", "k3", "k4"), k, strict=True)),
                      picture=through(fisheye_ray(60, 66, 50, 30, k)))
    f = data.train[0]
    image = f.image()
    assert psnr(image, truth(f.camera))[0] > 40
    K = f.camera.K
    K[:2, 2] -= 0.5
    expected = cv2.fisheye.undistortImage(media.read_image(f.path), K, np.array(k), Knew=K)
    seen = np.ones((H, W), bool) if f.seen() is None else f.seen()
    assert np.abs(image[..., :3].astype(int) - expected)[seen].max() <= 1


def test_k3_and_k4_of_nerfstudio_are_a_polynomial(tmp_path):
    """nerfstudio's distortion: 1 + r²(k1 + r²(k2 + r²(k3 + r² k4))); OpenCV's k4 would divide."""
    lens = Lens("POLYNOMIAL", (0.1, -0.05, 0.0, 0.0, 0.03, -0.02), 60, 60, 48, 32, W, H)
    r = np.array([0.1, 0.4, 0.7])
    u, _ = lens.project(r, 0 * r, 1 + 0 * r)
    r2 = r * r
    assert np.allclose(u, 48 + 60 * r * (1 + r2 * (0.1 + r2 * (-0.05 + r2 * (0.03 - r2 * 0.02)))))
    for keys in ({"k1": 0.1, "k2": -0.05, "k3": 0.03, "k4": -0.02},
                 {"distortion_params": [0.1, -0.05, 0.03, -0.02, 0, 0]}):
        data = transforms(tmp_path, {"fl_x": 60, "camera_model": "OPENCV"} | keys,
                          picture=lambda c2w: np.zeros((H, W, 3), np.uint8))
        assert data.train[0].lens == lens
    data = transforms(tmp_path, {"fl_x": 60, "k1": 0.1, "k4": 0.2, "k5": 0.01, "k6": 0.02},
                      picture=lambda c2w: np.zeros((H, W, 3), np.uint8))
    assert data.train[0].lens.model == "FULL_OPENCV"
    assert data.train[0].distortion == (0.1, 0, 0, 0, 0, 0.2, 0.01, 0.02)


def test_ftheta_of_instant_ngp(tmp_path):
    p = (0.0, 1 / 60, 1e-6, -4e-8, 0.0)

    def ray(x, y):
        x, y = x - 50, y - 30
        r = np.hypot(x, y)
        a = np.polyval(p[::-1], r)
        s = np.sin(a) / np.maximum(r, 1e-9)
        return np.stack([s * x, s * y, np.cos(a)], -1)

    data = transforms(tmp_path, {"w": W, "h": H, "cx": 50, "cy": 30}
                      | {f"ftheta_p{i}": v for i, v in enumerate(p)}, picture=through(ray))
    f = data.train[0]
    assert f.camera.fx == pytest.approx(60) and f.model == "FTHETA"
    db, opaque = psnr(f.image(), truth(f.camera))
    assert db > 38 and opaque > 0.9


@pytest.mark.parametrize(("said", "area"), [({"camera_model": "EQUIRECTANGULAR"}, False),
                                            ({"latlong": True}, False),
                                            ({"equirectangular": True}, True)])
def test_panoramas_become_views_of_the_head(tmp_path, said, area):
    w, h = 192, 96

    def ray(x, y):
        a = 2 * np.pi * (x / w - 0.5)
        up = 1 - 2 * y / h if area else np.sin(np.pi * (0.5 - y / h))
        flat = np.sqrt(1 - up * up)
        return np.stack([np.sin(a) * flat, -up, np.cos(a) * flat], -1)

    data = transforms(tmp_path, said | {"w": w, "h": h, "fl_x": 96}, 5,
                      picture=through(ray, w, h))
    assert any("5 panoramas" in n and "toward the point" in n for n in data.notes)
    assert len(data.frames) == 5
    for f in data.frames:
        assert np.allclose(f.camera.project([[0, 0, 0]])[0], f.camera.cx, atol=0.5)
        assert psnr(f.image(), truth(f.camera))[0] > 35


@pytest.mark.parametrize("text", [False, True])
def test_panoramas_of_colmap(tmp_path, text):
    """Its model 17, whose two parameters are the picture's size."""
    w, h = 192, 96
    listed = [(f"{i}.png", c2w, 1) for i, c2w in enumerate(poses(4))]
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    a, e = 2 * np.pi * (x / w - 0.5), np.pi * (0.5 - y / h)
    rays = np.stack([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], -1)
    for name, c2w, _ in listed:
        media.write_image(tmp_path / "images" / name,
                          bytes_of(sky(rays @ (c2w @ GL_TO_CV)[:3, :3].T)))
    Model({1: ("EQUIRECTANGULAR", w, h, (float(w), float(h)))}, listed, np.zeros((0, 6))).write(
        tmp_path / "sparse/0", text)
    data = Dataset.open(tmp_path)
    assert len(data.frames) == 4 and any("4 panoramas" in n for n in data.notes)
    assert all(psnr(f.image(), truth(f.camera))[0] > 35 for f in data.frames)


def test_panoramas_that_look_at_nothing_in_common_become_cubes(tmp_path, monkeypatch):
    w, h = 192, 96

    def ray(x, y):
        a, e = 2 * np.pi * (x / w - 0.5), np.pi * (0.5 - y / h)
        return np.stack([np.sin(a) * np.cos(e), -np.sin(e), np.cos(a) * np.cos(e)], -1)

    picture = through(ray, w, h)
    matrices = [look_at_matrix([i, 0, 0], [i + d[0], d[1], d[2]], [0, 1, 0.1])
                for i, d in enumerate([(1, 0, 0), (0, 0, 1), (-1, 0.3, 0)])]
    monkeypatch.setattr("tests.data.test_lenses.poses", lambda count: matrices)
    data = transforms(tmp_path, {"camera_model": "EQUIRECTANGULAR"}, 3, picture=picture)
    assert len(data.frames) == 18 and any("a cube" in n for n in data.notes)
    for f in data.frames:
        assert psnr(f.image(), truth(f.camera))[0] > 34, f.name
    assert {f.name for f in data.frames} >= {"images/0_front", "images/2_down"}


@pytest.mark.parametrize("name", ["VR180_L", "OMNIDIRECTIONALSTEREO_R", "ORTHOPHOTO", "PLENOPTIC"])
def test_lenses_that_cannot_be_straightened_are_named(tmp_path, name):
    with pytest.raises(IdfError) as error:
        transforms(tmp_path, {"fl_x": 60, "camera_model": name},
                   picture=lambda c2w: np.zeros((H, W, 3), np.uint8))
    assert name in str(error.value) and "perspective" in error.value.do


def test_colors_of_transparent_pixels_do_not_leak_and_borders_are_empty():
    camera = Camera(np.eye(4), 60, 60, 48, 32, W, H)
    lens = Lens("OPENCV", (0.4, 0.1, 0, 0), 60, 60, 48, 32, W, H)
    image = np.zeros((H, W, 4), np.uint8)
    image[..., 1] = 255  # green where nothing is
    image[20:40, 30:60] = (200, 0, 100, 255)
    out = lens.straighten(image, camera)
    inside = out[..., 3] > 80
    assert np.abs(out[inside][:, :3].astype(int) - (200, 0, 100)).max() <= 2
    assert not out[~lens.seen(camera)][:, 3].any() and 0.5 < lens.seen(camera).mean() < 1
    rgb = lens.straighten(np.full((H, W, 3), 77, np.uint8), camera)
    assert (rgb[..., 3] == np.where(lens.seen(camera), 255, 0)).all()
    assert (rgb[lens.seen(camera)][:, :3] == 77).all()


def test_a_lens_that_turns_back_shows_nothing_twice():
    """k1 = -0.5: beyond r = 0.8 farther rays land nearer to the middle again."""
    camera = Camera(np.eye(4), 20, 20, 48, 32, W, H)
    lens = Lens("OPENCV", (-0.5, 0, 0, 0), 60, 60, 48, 32, W, H)
    x, y = np.meshgrid(np.arange(W) + 0.5 - 48, np.arange(H) + 0.5 - 32)
    r = np.hypot(x, y) / 20
    assert not lens.seen(camera)[r > 0.85].any() and lens.seen(camera)[r < 0.5].all()


def test_the_rim_of_a_round_fisheye_picture_is_left_out(tmp_path):
    data = transforms(tmp_path, {"fl_x": 30, "camera_model": "OPENCV_FISHEYE",
                                 "fisheye_crop_radius": 20, "w": W, "h": H},
                      picture=lambda c2w: np.full((H, W, 3), 90, np.uint8))
    f = data.train[0]
    x, y = np.meshgrid(np.arange(W) + 0.5 - 48, np.arange(H) + 0.5 - 32)
    seen = np.arctan(np.hypot(x, y) / 30) * 30 <= 20
    assert (f.image()[..., 3] == np.where(seen, 255, 0)).mean() > 0.99


@given(model=st.sampled_from(sorted(MODELS)), data=st.data())
def test_any_numbers_make_a_picture_of_the_cameras_size(model, data):
    number = st.floats(-10, 10)
    p = tuple(data.draw(number) for _ in MODELS[model].names)
    f = data.draw(st.floats(0.1, 1e4))
    lens = Lens(model, p, f, f, data.draw(number), 4.0, 12, 6, skew=data.draw(number))
    camera = Camera(np.eye(4), f, f, 4.0, 3.0, 9, 7)
    with np.errstate(all="ignore"):
        out = lens.straighten(np.full((6, 12, 3), 200, np.uint8), camera)
        assert out.shape[:2] == (7, 9) and 0 <= lens.covered(camera) <= 1
    opaque = out[out[..., 3] == 255] if out.shape[2] == 4 else out.reshape(-1, 3)
    assert (opaque[:, :3] == 200).all()
