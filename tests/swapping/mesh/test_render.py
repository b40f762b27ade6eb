"""The view-consistent swap on a head whose geometry and colors are known."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from idf_helpers.face import topology
from idf_helpers.face.flat import SIZE as FLAT
from idf_helpers.face.flat import flat_face
from idf_helpers.face.mesh import eye_caps
from idf_helpers.face.raster import rasterize
from idf_helpers.swapping import metrics
from idf_helpers.swapping.mesh.bake import FaceTexture, bake, evened
from idf_helpers.swapping.mesh.render import render_swap
from idf_helpers.swapping.mesh.source_visibility import Layer
from idf_helpers.swapping.mesh.uv_atlas import head_axes, make_chart, mean_colors, unroll
from idf_helpers.swapping.mesh.uv_atlas import load_views as load
from idf_helpers.swapping.occluders import Hidden
from tests.fixtures.face_rig import (
    SIZE,
    RigFrame,
    camera,
    make_frames,
    make_source,
    paint,
    render,
    true_mesh,
)

YAWS = tuple(range(-60, 61, 20))
TARGET, SOURCE = paint(1, (200, 150, 130)), paint(2, (110, 75, 60))


@pytest.fixture(scope="module")
def frames():
    return make_frames(true_mesh(), TARGET, YAWS, (-8, 10))


@pytest.fixture(scope="module")
def mesh(frames):
    return true_mesh(len(frames))


@pytest.fixture(scope="module")
def texture(mesh, frames):
    return bake(mesh, frames, make_source(mesh, SOURCE))


def swap_at(yaw, mesh, texture, pitch=0.0, **kind):
    cam = camera(yaw, pitch)
    image = render(mesh, TARGET, cam, **kind)
    return image, render_swap(image, cam, mesh, texture)


@pytest.mark.parametrize("yaw", [-90, -60, -25, 0, 40, 75, 110])
def test_the_face_changes_and_nothing_else(mesh, texture, yaw):
    image, result = swap_at(yaw, mesh, texture)
    before = image.copy()
    assert result.status == "swapped" and result.reason == ""
    assert result.image.dtype == np.uint8 and result.mask.dtype == np.float32
    assert 0 <= result.mask.min() and 0.5 < result.mask.max() <= 1
    np.testing.assert_array_equal(result.image[..., 3], image[..., 3])
    np.testing.assert_array_equal(result.image[result.mask == 0], image[result.mask == 0])
    assert (result.mask[image[..., 3] == 0] == 0).all()
    np.testing.assert_array_equal(image, before)  # the input is not written to
    inside = result.mask > 0.9
    if abs(yaw) <= 75:
        assert inside.sum() > 300
        change = np.abs(result.image[inside, :3].astype(int) - image[inside, :3])
        assert change.mean() > 4


@pytest.mark.parametrize("yaw", [150, 180, -165])
def test_a_face_turned_away_leaves_the_frame_as_it_is(mesh, texture, yaw):
    image, result = swap_at(yaw, mesh, texture)
    assert result.status == "no_face" and "turned away" in result.reason
    np.testing.assert_array_equal(result.image, image)
    assert not result.mask.any()


def test_a_face_outside_or_behind_leaves_the_frame_as_it_is(mesh, texture):
    cam = camera(0)
    image = render(mesh, TARGET, cam)
    away = replace(cam, cx=cam.cx + 400)
    assert render_swap(image, away, mesh, texture).reason == "the face is outside the picture"
    turned = cam.c2w.copy()
    turned[:3, [0, 2]] *= -1
    behind = render_swap(image, replace(cam, c2w=turned), mesh, texture)
    assert behind.status == "no_face" and "behind" in behind.reason
    np.testing.assert_array_equal(behind.image, image)


def test_a_face_cut_by_the_border_is_swapped_up_to_it(mesh, texture):
    cam = camera(0)
    cut = replace(cam, cx=cam.cx - 60)
    result = render_swap(render(mesh, TARGET, cut), cut, mesh, texture)
    assert result.status == "swapped" and result.mask[:, 0].max() > 0.9


def test_rgb_frames_and_wrong_frames(mesh, texture):
    image, result = swap_at(20, mesh, texture, alpha=False)
    assert result.status == "swapped" and result.image.shape == image.shape == (SIZE, SIZE, 3)
    with pytest.raises(ValueError, match="camera 160x160"):
        render_swap(image[:100], camera(20), mesh, texture)
    with pytest.raises(ValueError, match="uint8"):
        render_swap(image.astype(float), camera(20), mesh, texture)


def test_swapping_a_face_with_itself_changes_little(mesh, frames):
    own = bake(mesh, frames, make_source(mesh, TARGET))
    for yaw in (-40, 0, 30):
        image, result = swap_at(yaw, mesh, own)
        inside = result.mask > 0.5
        change = np.abs(result.image[inside, :3].astype(float) - image[inside, :3])
        assert inside.sum() > 1000 and change.mean() < 4


def test_the_skin_takes_the_targets_tone_and_the_sources_pattern(mesh, texture):
    image, result = swap_at(0, mesh, texture)
    inside = result.mask > 0.95
    now, was = result.image[inside, :3].astype(float), image[inside, :3].astype(float)
    assert np.abs(now.mean(0) - was.mean(0)).max() < 8  # 90 levels apart before
    source = render(mesh, SOURCE, camera(0))[inside, :3].astype(float)

    def alike(a, b):
        return np.corrcoef(a.mean(1), b.mean(1))[0, 1]

    assert alike(now, source) > 0.8 > 0.5 > alike(now, was)


def test_all_views_show_the_same_colors(mesh, texture):
    truth = true_mesh()
    points, normals = truth.vertices, truth.normals
    swapped, noisy = [], []
    rng = np.random.default_rng(0)
    for yaw in YAWS:
        image, result = swap_at(yaw, mesh, texture, 5)
        at, ok = metrics.visible_points(camera(yaw, 5), points, normals, points, truth.triangles)
        k = np.clip(at, 0, SIZE - 1).astype(int)
        ok &= result.mask[k[:, 1], k[:, 0]] > 0.9
        swapped.append((result.image, at, ok))
        # For comparison: the same with a per-view error of two pixels, as a 2D swap makes.
        noisy.append((result.image, at + rng.normal(0, 2, 2), ok))
    assert metrics.color_spread(swapped) < 3.0
    assert metrics.color_spread(noisy) > 1.5 * metrics.color_spread(swapped)


def test_eyes_and_open_mouth_stay_the_targets(mesh, texture):
    _, result = swap_at(0, mesh, texture)
    xy, _ = camera(0).project(mesh.vertices)
    for ring in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH):
        x, y = xy[ring].mean(0).astype(int)
        assert result.mask[y, x] == 0
    x, y = xy[topology.NOSE_TIP].astype(int)
    assert result.mask[y, x] > 0.95


def test_closed_lips_are_the_sources(frames):
    shut = true_mesh(len(frames))
    shut.vertices[topology.INNER_MOUTH, 2] = shut.vertices[topology.INNER_MOUTH, 2].mean()
    _, result = swap_at(0, shut, bake(shut, frames, make_source(shut, SOURCE)))
    xy, _ = camera(0).project(shut.vertices)
    x, y = xy[topology.INNER_MOUTH].mean(0).astype(int)
    assert result.mask[y - 2:y + 3, x].max() > 0.9


def test_the_rim_fades(mesh, texture):
    _, result = swap_at(0, mesh, texture)
    xy, _ = camera(0).project(mesh.vertices)
    rim = np.round(xy[topology.FACE_OVAL] - 0.5).astype(int)
    assert result.mask[rim[:, 1], rim[:, 0]].max() < 0.15
    step = np.abs(np.diff(result.mask, axis=1))
    row = int(xy[topology.NOSE_TIP, 1]) + 12
    assert step[row].max() < 0.35  # no hard edge along a cheek


def test_hair_that_the_source_mask_names_is_not_taken(mesh, frames):
    source = make_source(mesh, SOURCE)
    brow = source.landmarks.points[topology.LEFT_BROW, 1].min()
    source.skin[:int(brow) - 12] = 0
    source.image[:int(brow) - 12] = (255, 0, 255)
    result = swap_at(0, mesh, bake(mesh, frames, source))[1]
    xy, _ = camera(0).project(mesh.vertices)
    top = xy[10:11].mean(0).astype(int)
    assert result.mask[top[1]:top[1] + 14].max() < 0.05
    magenta = (result.image[..., :3].astype(int) * (1, -1, 1)).sum(-1)
    assert magenta.max() < 300


def test_the_other_side_fills_what_a_turned_photo_does_not_show(mesh, frames):
    source = make_source(mesh, SOURCE, yaw=55)  # shows the head's left half
    _, result = swap_at(-35, mesh, bake(mesh, frames, source))
    one_sided = swap_at(-35, mesh, bake(mesh, frames, source, mirror=False))[1]
    assert result.mask.sum() > 1.3 * one_sided.mask.sum()


def test_what_lies_before_the_face_stays(mesh, texture):
    cam = camera(0)
    image = render(mesh, TARGET, cam)
    x, y = cam.project(mesh.vertices)[0][topology.MIRROR[205]].astype(int)  # a cheek
    image[y - 6:y + 7, x - 6:x + 7, :3] = (20, 30, 25)
    result = render_swap(image, cam, mesh, texture)
    np.testing.assert_array_equal(result.image[y - 5:y + 6, x - 5:x + 6],
                                  image[y - 5:y + 6, x - 5:x + 6])
    free = render_swap(image, cam, mesh, texture, occluder=9.0)
    assert free.mask[y, x] > 0.9


@pytest.mark.parametrize("yaw", [0, 35])
def test_what_is_known_to_stand_before_the_face_stays(mesh, texture, yaw):
    cam = camera(yaw)
    image = render(mesh, TARGET, cam)
    flat = np.zeros((FLAT, FLAT), bool)
    u, v = flat_face().xy[topology.NOSE_TIP].astype(int)
    flat[v - 8:v + 9, u - 8:u + 9] = True
    free = render_swap(image, cam, mesh, texture)
    result = render_swap(image, cam, mesh, texture, before=Hidden(flat, ("object",)))
    x, y = cam.project(mesh.vertices)[0][topology.NOSE_TIP].astype(int)
    assert free.mask[y, x] > 0.9 and result.mask[y, x] == 0
    np.testing.assert_array_equal(result.image[y, x], image[y, x])
    assert result.in_front == ("object",) and free.in_front == ()
    away = free.mask - result.mask
    assert away.min() > -1e-6 and 0.01 < (away > 0.5).sum() / (free.mask > 0.5).sum() < 0.1


def test_a_darker_exposure_is_followed(mesh, texture):
    cam = camera(10)
    image = render(mesh, TARGET, cam)
    dark = image.copy()
    dark[..., :3] = (0.6 * image[..., :3]).astype(np.uint8)
    bright, dim = (render_swap(i, cam, mesh, texture) for i in (image, dark))
    inside = bright.mask > 0.95
    ratio = dim.image[inside, :3].mean() / bright.image[inside, :3].mean()
    assert 0.58 < ratio < 0.68


def test_textures_are_kept_and_deterministic(mesh, frames, texture, tmp_path):
    texture.save(tmp_path / "t.npz")
    image, result = swap_at(15, mesh, texture)
    for again in (FaceTexture.load(tmp_path / "t.npz"), pickle.loads(pickle.dumps(texture)),
                  bake(mesh, frames, make_source(mesh, SOURCE))):
        for name, value in texture.arrays().items():
            np.testing.assert_array_equal(getattr(again, name), value)
        np.testing.assert_array_equal(swap_at(15, mesh, again)[1].image, result.image)


def test_bake_wants_the_frames_of_the_mesh(mesh, frames):
    with pytest.raises(ValueError, match="not 3"):
        bake(mesh, frames[:3], make_source(mesh, SOURCE))


def test_large_pictures_are_reduced_before_baking(mesh):
    cameras = [camera(y, size=900) for y in (-20, 0, 20)]
    big = [RigFrame(c, render(mesh, TARGET, c)) for c in cameras]
    three = replace(mesh, inliers=np.ones(3, bool), residuals=np.zeros(3))
    views = load(three, big, [0, 1, 2], max_face=256)
    assert all(v.scale * mesh.width == pytest.approx(256, rel=0.02) for v in views)
    for view, frame in zip(views, big, strict=True):
        xy, _ = view.project(mesh.vertices)
        color = metrics.sample(view.image, xy[205:206])
        at = frame.camera.project(mesh.vertices[205:206])[0]
        np.testing.assert_allclose(color, metrics.sample(frame.picture, at), atol=6)
    texture = bake(three, big, make_source(mesh, SOURCE))
    assert max(texture.rgba.shape) < 800  # 512 across the face, unrolled


# ----------------------------------------------------------------------------------------- parts

def test_the_chart_does_not_fold(mesh):
    uv = unroll(mesh.vertices)
    a, b, c = (uv[mesh.triangles[:, k]] for k in range(3))
    area = np.cross(np.c_[b - a, np.zeros(len(a))], np.c_[c - a, np.zeros(len(a))])[:, 2]
    assert (area < 0).mean() > 0.95  # the rig itself folds a few at the corners of the mouth
    front, up, left = head_axes(mesh.vertices)
    np.testing.assert_allclose([front, up, left], [[0, -1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_mean_colors_are_the_targets(mesh, frames):
    views = load(mesh, frames, range(len(frames)), 512)
    chart = make_chart(mesh, 1 / views[0].scale)
    colors, seen = mean_colors(mesh, chart, views)
    assert seen[chart.covered].mean() > 0.9
    inner = np.setdiff1d(np.arange(468), np.concatenate(
        [topology.FACE_OVAL, topology.LEFT_EYE, topology.RIGHT_EYE, topology.INNER_MOUTH]))
    error = np.abs(metrics.sample(colors, chart.uv[inner]) - TARGET[inner])
    assert np.median(error) < 5


def test_several_photos_of_one_person_fill_each_other_in(mesh, frames):
    left, right = (make_source(mesh, SOURCE, yaw=y) for y in (50, -50))
    both = bake(mesh, frames, [left, right], mirror=False)
    one = bake(mesh, frames, left, mirror=False)
    assert both.rgba[..., 3].sum() > 1.15 * one.rgba[..., 3].sum()
    views = []
    for yaw in (-40, 0, 40):
        _, result = swap_at(yaw, mesh, both)
        truth = render(mesh, SOURCE, camera(yaw))[..., :3].astype(float).mean(-1)
        inside = result.mask > 0.9
        views.append(np.corrcoef(result.image[inside, :3].mean(-1), truth[inside])[0, 1])
        assert inside.sum() > 1500
    assert min(views) > 0.7  # each side shows what its own photo shows, and the middle too


def test_photos_of_other_cameras_are_evened_before_they_are_merged():
    h, w, face = 120, 160, 120.0
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, w)[None, :, None]
    skin = np.full((h, w, 3), (70.0, 12, 14), np.float32)
    mole = np.zeros((h, w, 1), np.float32)
    mole[50:54, 60:64] = -20
    light = np.concatenate([12 * x, 3 * x, 0 * x - 9], -1) * np.ones((h, 1, 1))  # and another tint
    sides = [np.clip(1.3 + s * 1.6 * x[..., 0], 0, 1) * np.ones((h, 1)) for s in (1, -1)]
    one, other = (Layer(np.float32(lab + rng.normal(0, 1, (h, w, 1))), np.float32(taken), taken,
                        np.ones((h, w), np.float32), 1.0, np.zeros((h, w), np.float32))
                  for lab, taken in ((skin, sides[0]), (skin + light + mole, sides[1] * 0.99)))
    none = [np.zeros((h, w), np.float32)] * 3
    first, second = evened([one, other], none, face)
    np.testing.assert_array_equal(first.lab, one.lab)
    both = np.minimum(*sides) > 0.5
    left = np.abs((second.lab - skin - mole)[both].mean(0))
    assert left.max() < 1 and np.abs((second.lab - skin - mole)[both]).mean() < 1.5
    assert second.lab[51:53, 61:63, 0].mean() < second.lab[60:80, 61:63, 0].mean() - 14
    assert evened([other], none, face)[0] is other


def test_what_hides_the_face_in_all_views_stays(mesh):
    fringe = TARGET.copy()
    x, _, z = mesh.vertices.T
    fringe[(z > 0.3) & (x > 0.05)] = (90, 60, 30)  # on the left of the forehead
    views = make_frames(true_mesh(), fringe, YAWS, (-8, 10))
    source = make_source(mesh, SOURCE)
    texture = bake(mesh, views, source)
    assert "hair" in texture.in_front
    result = render_swap(views[3].image(), views[3].camera, mesh, texture)
    assert "hair" in result.in_front
    xy, _ = views[3].camera.project(mesh.vertices)

    def mask_at(chosen):
        at = np.round(xy[chosen] - 0.5).astype(int)
        return result.mask[at[:, 1], at[:, 0]]

    assert np.median(mask_at((z > 0.42) & (x > 0.2))) < 0.1
    bare = bake(mesh, make_frames(true_mesh(), TARGET, YAWS, (-8, 10)), source)
    assert "hair" not in bare.in_front


def test_the_report_says_how_much_is_guessed(mesh, frames, texture):
    front, side = (swap_at(y, mesh, texture)[1].guessed for y in (0, -75))
    assert 0 <= front < 0.2 and front < side < 0.7
    turned = bake(mesh, frames, make_source(mesh, SOURCE, yaw=55))
    seen, unseen = (swap_at(y, mesh, turned)[1].guessed for y in (50, -50))
    assert seen < 0.3 and unseen > seen + 0.3


def test_the_targets_brows_never_show_beside_the_sources(mesh):
    dark = TARGET.copy()
    dark[np.concatenate([topology.LEFT_BROW, topology.RIGHT_BROW])] = (30, 20, 15)
    views = make_frames(true_mesh(), dark, YAWS, (-8, 10))
    source = make_source(mesh, SOURCE)  # who has none, and something before the ends of both
    y, x = np.mgrid[:200, :200]
    ends = source.landmarks.xy[[300, 70]]
    for end in ends:
        source.skin[np.hypot(x - end[0], y - end[1]) < 3.5] = 0
    texture = bake(mesh, views, source)
    image = render(mesh, dark, camera(0))
    result = render_swap(image, camera(0), mesh, texture)
    xy, _ = camera(0).project(mesh.vertices)
    at = np.round(xy[np.concatenate([topology.LEFT_BROW, topology.RIGHT_BROW])] - 0.5).astype(int)
    was, now = (p[at[:, 1], at[:, 0], :3].mean(-1) for p in (image, result.image))
    skin = result.image[result.mask > 0.9][:, :3].mean()
    assert was.mean() < 0.5 * skin and now.min() > 0.6 * skin


def test_one_photo_in_a_list_is_that_photo(mesh, frames, texture):
    again = bake(mesh, frames, [make_source(mesh, SOURCE)])
    np.testing.assert_array_equal(again.rgba, texture.rgba)


def test_the_eye_hides_the_nose_behind_it(mesh):
    vertices, caps = eye_caps(mesh.vertices, mesh.normals)
    np.testing.assert_array_equal(vertices[:468], mesh.vertices)
    assert caps.max() == len(vertices) - 1
    # From 80 degrees the near eye's middle is the eyeball, whatever lies behind.
    cam = camera(80)
    xy, z = cam.project(vertices)
    _, without, _ = rasterize(mesh.triangles, xy[:468], z[:468], np.zeros((468, 0)), SIZE, SIZE)
    _, ids, _ = rasterize(np.concatenate([mesh.triangles, caps]), xy, z,
                          np.zeros((len(xy), 0)), SIZE, SIZE)
    eye = ids >= len(mesh.triangles)
    assert eye.sum() > 5 and (without[eye] >= 0).any()


def test_light_is_followed_where_that_is_asked_for(mesh, texture):
    cam = camera(0)
    image = render(mesh, TARGET, cam)
    shade = np.linspace(1.3, 0.6, SIZE)[None, :, None]
    lit = image.copy()
    lit[..., :3] = np.clip(image[..., :3] * shade, 0, 255).astype(np.uint8)
    plain, following = (render_swap(lit, cam, mesh, texture, light=share)
                        for share in (0.0, 1.0))
    inside = (plain.mask > 0.95) & (following.mask > 0.95)
    base = render_swap(image, cam, mesh, texture).image[..., :3].astype(float)
    x = np.where(inside)[1]

    def slope(result):
        return np.polyfit(x, np.log(result.image[inside, :3].mean(-1) / base[inside].mean(-1)),
                          1)[0]

    wanted = np.polyfit(x, np.log(shade[0, x, 0]), 1)[0]
    assert slope(following) / wanted > 0.6 and abs(slope(plain) / wanted) < 0.25
