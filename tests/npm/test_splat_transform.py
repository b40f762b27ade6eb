"""Our splat files in an independent reader: @playcanvas/splat-transform, fetched once from npm."""

import csv
import shutil
import subprocess

import numpy as np
import pytest

from idf_helpers.reconstruction.splats.ply import property_names, read_ply, write_ply
from idf_helpers.reconstruction.splats.splat_file import write_splat
from tests.fixtures.gaussians import assert_equal, random_gaussians
from tests.fixtures.npm import npm_file

pytestmark = pytest.mark.npm
PACKAGE, VERSION = "@playcanvas/splat-transform", "2.7.1"  # runs on Node 18 and newer


@pytest.fixture(scope="module")
def requires_splat_transform():
    """splat-transform(input, output) -> output; installed beside the other downloads, once."""
    script = npm_file(PACKAGE, VERSION, "bin/cli.mjs")
    node = shutil.which("node")

    def transform(source, target):
        done = subprocess.run([node, str(script), "--overwrite", str(source), str(target)],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return target

    return transform


def table(path) -> dict[str, np.ndarray]:
    with open(path, newline="") as f:
        rows = list(csv.reader(f))
    values = np.array(rows[1:], float)
    return {name: values[:, i] for i, name in enumerate(rows[0])}


def test_it_reads_every_number_of_our_ply(requires_splat_transform, tmp_path):
    g = random_gaussians(300)
    ours = write_ply(g, tmp_path / "a.ply", comments=["synthetic, made with a tool; run x"])
    seen = table(requires_splat_transform(ours, tmp_path / "a.csv"))
    assert list(seen) == property_names()
    want = {"x": g.means[:, 0], "z": g.means[:, 2], "opacity": g.opacity_logits,
            "scale_1": g.log_scales[:, 1], "rot_0": g.quats[:, 0], "rot_3": g.quats[:, 3],
            "f_dc_2": g.sh[:, 0, 2], "f_rest_0": g.sh[:, 1, 0], "f_rest_15": g.sh[:, 1, 1],
            "f_rest_44": g.sh[:, 15, 2]}
    for name, values in want.items():
        np.testing.assert_allclose(seen[name], values, rtol=1e-6, atol=1e-7, err_msg=name)


def test_we_read_what_it_writes(requires_splat_transform, tmp_path):
    g = random_gaussians(300)
    ours = write_ply(g, tmp_path / "a.ply")
    assert_equal(read_ply(requires_splat_transform(ours, tmp_path / "b.ply")), g)


def test_it_compresses_our_ply_and_reads_our_splat_file(requires_splat_transform, tmp_path):
    g = random_gaussians(300, degree=0)
    ours = write_ply(g, tmp_path / "a.ply")
    small = requires_splat_transform(ours, tmp_path / "a.compressed.ply")
    assert small.stat().st_size < ours.stat().st_size / 2
    splat = write_splat(g, tmp_path / "a.splat")
    seen = table(requires_splat_transform(splat, tmp_path / "b.csv"))
    order = np.lexsort(g.means.T)
    mine = np.lexsort([seen["x"], seen["y"], seen["z"]])
    for name, values in {"x": g.means[:, 0], "scale_2": g.log_scales[:, 2]}.items():
        np.testing.assert_allclose(seen[name][mine], values[order], rtol=1e-5, atol=1e-5)
    visible = np.abs(g.opacity_logits[order]) < 2
    np.testing.assert_allclose(seen["opacity"][mine][visible], g.opacity_logits[order][visible],
                               atol=0.03)
