"""What is written in a format is read back, upright, within what the format can hold."""

import math

import numpy as np
import pytest

from idf_helpers.errors import IdfError
from idf_helpers.exporting import Model, export
from idf_helpers.provenance import Mark, verify
from idf_helpers.reconstruction.splats.formats import turn
from idf_helpers.reconstruction.splats.formats.axes import BLENDER, COLMAP, GLTF, NAMES, Axes
from idf_helpers.reconstruction.splats.formats.registry import FORMATS, function, identify, read
from idf_helpers.reconstruction.splats.formats.spz import write_spz
from idf_helpers.reconstruction.splats.formats.writing import exporters
from idf_helpers.reconstruction.splats.model_file import load_scene, read_model
from tests.fixtures.gaussians import random_gaussians
from tests.fixtures.splat_files import columns_of, plain_ply, unit
from tests.fixtures.splat_scenes import gentle, matched, scene_of

WRITTEN = [s for s, f in FORMATS.items() if f.writer]
# greatest error of: means, log scales, opacities, harmonics of degree 0, of higher ones
LIMITS = {".ply": (0, 0, 1e-6, 0, 0), ".compressed.ply": (5e-3, 5e-3, 3e-3, 0.02, 0.02),
          ".splat": (0, 1e-6, 3e-3, 8e-3, math.inf), ".spz": (2e-4, 0.032, 3e-3, 0.014, 0.07),
          ".sog": (2e-4, 0.04, 3e-3, 0.02, 0.6), ".glb": (1e-6, 1e-6, 1e-6, 0, 1e-6)}


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("degree", [0, 3])
def test_numbers_come_back_turned_as_the_format_has_it(suffix, degree, tmp_path):
    g, path = gentle(degree=degree), tmp_path / f"a{suffix}"
    exporters()[suffix[1:]](scene_of(g), path)
    assert identify(path) is FORMATS[".ply" if suffix.endswith(".ply") else suffix]
    got = read(path).gaussians
    laid_down = FORMATS[suffix].axes or BLENDER
    want = turn.turned(g, BLENDER.turn_to(laid_down))
    got = got[matched(want, got)]
    limits = LIMITS[suffix]
    assert np.abs(got.means - want.means).max() <= limits[0] + 1e-6
    assert np.abs(got.log_scales - want.log_scales).max() <= limits[1] + 1e-6
    assert np.abs(got.opacities - want.opacities).max() <= limits[2]
    assert np.abs(got.sh[:, 0] - want.sh[:, 0]).max() <= limits[3] + 1e-6
    assert 1 - np.abs((unit(got.quats) * unit(want.quats)).sum(axis=1)).min() < 2e-4
    if degree and suffix != ".splat":
        error = got.sh[:, 1:] - want.sh[:, 1:]
        assert np.abs(error).max() <= limits[4] + 1e-6
        assert np.sqrt((error**2).mean()) < 0.1


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz", ".sog", ".glb"])
def test_what_we_wrote_says_itself_where_up_is(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    tilted = Axes((0.0, 0.6, 0.8), (1.0, 0.0, 0.0))
    exporters()[suffix[1:]](scene_of(gentle(), tilted), path)
    model = read(path)
    want = FORMATS[suffix].axes or tilted
    np.testing.assert_allclose([model.axes.up, model.axes.front], [want.up, want.front], atol=1e-5)
    assert not model.notes


@pytest.mark.parametrize("suffix", [".spz", ".sog", ".glb"])
def test_limits_for_viewers_go_along(suffix, tmp_path):
    model = Model(scene_of(gentle()), Mark("r", "splats"), tmp_path, "r", exporters())
    orbit = read(export(model, tmp_path / f"a{suffix}")).orbit
    assert math.degrees(orbit.low) == pytest.approx(-10, abs=0.1)
    assert math.degrees(orbit.high) == pytest.approx(10, abs=0.1)
    assert orbit.nearest == pytest.approx(2.5, rel=1e-3)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_is_marked_inside_and_stays_readable(suffix, tmp_path):
    model = Model(scene_of(gentle(300)), Mark("run7", "splats of a test"), tmp_path, "r",
                  exporters())
    path = export(model, tmp_path / f"a{suffix}")
    found = verify(path)
    assert found.synthetic and found.fields["run_id"] == "run7"
    assert not list(tmp_path.glob("*.provenance.json"))  # it needs no mark beside it
    assert len(read(path).gaussians) == 300


def test_the_longest_suffix_names_the_format(tmp_path):
    model = Model(scene_of(gentle(300)), Mark("r", "splats"), tmp_path, "r", exporters())
    path = export(model, tmp_path / "a.compressed.ply")
    assert path.name == "a.compressed.ply" and b"packed_position" in path.read_bytes()
    assert export(model, tmp_path / "b.sog.ply").read_bytes().count(b"packed_position") == 0


def test_the_content_tells_the_format_not_the_name(tmp_path):
    for suffix in (".spz", ".sog", ".glb", ".compressed.ply"):
        path = tmp_path / "a.bin"
        exporters()[suffix[1:]](scene_of(gentle(200)), path)
        assert len(read(path).gaussians) == 200
    (tmp_path / "b.bin").write_bytes(b"nothing of the kind")
    assert identify(tmp_path / "b.bin") is None


def test_turning_keeps_what_is_seen():
    g = random_gaussians(40)
    rng = np.random.default_rng(3)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    R *= np.sign(np.linalg.det(R))
    t = turn.turned(g, R, 2.0, (1, 2, 3))
    d = rng.normal(size=(20, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    for i in range(5):
        np.testing.assert_allclose(turn.basis(d @ R.T) @ t.sh[i], turn.basis(d) @ g.sh[i],
                                   atol=1e-5)
    np.testing.assert_allclose(t.means, 2 * g.means @ R.T + [1, 2, 3], atol=1e-5)
    # the longest axis points along R times where it pointed
    from scipy.spatial.transform import Rotation

    def axes(q):
        return Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(axes(t.quats), R @ axes(g.quats), atol=1e-5)
    m = turn.mirrored(g)
    flip = np.array([-1, 1, 1])
    for i in range(5):
        np.testing.assert_allclose(turn.basis(d * flip) @ m.sh[i], turn.basis(d) @ g.sh[i],
                                   atol=1e-5)


def test_conventions_are_right_handed_and_meet():
    for a in (BLENDER, GLTF, COLMAP):
        assert np.linalg.det(a.matrix()) == pytest.approx(1)
        np.testing.assert_allclose(a.turn_to(GLTF) @ a.up, (0, 1, 0), atol=1e-12)
        np.testing.assert_allclose(a.turn_to(GLTF) @ a.front, (0, 0, 1), atol=1e-12)
    assert set(NAMES) == {"x", "-x", "y", "-y", "z", "-z"}


@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz", ".sog", ".glb"])
def test_a_model_lies_among_its_cameras_again(suffix, tmp_path):
    scene = scene_of(gentle(), Axes((0.0, 0.6, 0.8), (1.0, 0.0, 0.0)))
    model = Model(scene, Mark("r", "splats"), tmp_path, "r", exporters())
    path = export(model, tmp_path / f"a{suffix}")
    got = read_model(path, scene.cameras)
    got = got[matched(scene.gaussians, got)]
    np.testing.assert_allclose(got.means, scene.gaussians.means, atol=5e-3)
    np.testing.assert_allclose(got.sh[:, 0], scene.gaussians.sh[:, 0], atol=0.02)
    apart = np.abs(read_model(path).means - read_model(path, scene.cameras).means).max()
    assert (apart < 1e-5) == (suffix == ".ply")  # the only one that keeps the world of the cameras


def test_a_few_far_away_leave_the_others_where_they_are(tmp_path):
    g, far = gentle(6000, 0), np.arange(0, 6000, 100)
    rng = np.random.default_rng(0)
    g.means[far] *= np.exp(rng.uniform(2, 6, (60, 1))).astype(np.float32)
    near = np.setdiff1d(np.arange(6000), far)
    for suffix in (".compressed.ply", ".spz", ".sog"):
        function(FORMATS[suffix].writer)(g, tmp_path / f"a{suffix}")
        got = read(tmp_path / f"a{suffix}").gaussians
        assert np.abs(got.means[matched(g, got)] - g.means)[near].mean() < 2e-3
    g.means[0] = 1e7, 0, 0
    with pytest.raises(IdfError, match="this far apart"):
        write_spz(g, tmp_path / "b.spz")


def test_a_foreign_ply_written_again_keeps_its_place(tmp_path):
    """No cameras said what is up in it: among those it was trained with it is not turned."""
    scene = scene_of(gentle(60, 0), Axes((0.0, 0.6, 0.8), (1.0, 0.0, 0.0)))
    plain_ply(tmp_path / "foreign.ply", columns_of(scene.gaussians))
    shown = load_scene(tmp_path / "foreign.ply", up="y")
    exporters()["ply"](shown, tmp_path / "again.ply")
    assert read(tmp_path / "again.ply").axes.up == (0, 1, 0)
    np.testing.assert_array_equal(read_model(tmp_path / "again.ply", scene.cameras).means,
                                  scene.gaussians.means)
    # of a file of ours that a format turned, cameras did say it, also on a second way
    exporters()["sog"](scene, tmp_path / "a.sog")
    exporters()["ply"](load_scene(tmp_path / "a.sog"), tmp_path / "b.ply")
    got = read_model(tmp_path / "b.ply", scene.cameras)
    got = got[matched(scene.gaussians, got)]
    np.testing.assert_allclose(got.means, scene.gaussians.means, atol=5e-3)
