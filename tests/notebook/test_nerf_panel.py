"""Notebook 03's panel, and the comparison with splats."""

import io

import numpy as np
import pytest
from PIL import Image

from idf_helpers.data.dataset import Dataset
from idf_helpers.notebook import comparison as side
from idf_helpers.notebook.training_panel import NerfPanel
from idf_helpers.reconstruction.nerf.config import VoxelConfig
from tests.fixtures.ball_scene import write_ball


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return Dataset.open(write_ball(tmp_path_factory.mktemp("ball"), ("train", "test")))


def test_the_button_trains_with_a_preview_and_reads_back(data, tmp_path):
    panel = NerfPanel(data, out=tmp_path, iterations=40, resolution=32, backend="voxel")
    panel.button.click()
    assert panel.metrics["iterations"] == 40 and "held-out" in panel.status.value
    assert np.array(Image.open(io.BytesIO(panel.preview.value))).std() > 5
    assert len(panel.curve) and panel.held_out[-1, 1] > 12 and panel.bar.value == 1.0
    stamp = (panel.folder / "field.npz").stat().st_mtime_ns
    panel.run()
    assert (panel.folder / "field.npz").stat().st_mtime_ns == stamp
    panel.unit.value, panel.amount.value = "seconds", 7
    assert panel.config.budget_s == 7.0 and panel.config.resolution == 32


def test_nerf_and_splats_on_the_same_views(data, tmp_path):
    config, methods = VoxelConfig(iterations=40, resolution=32), ("nerf:voxel", "splats:cpu")
    results = side.compare_methods(data, tmp_path, methods, config)
    rows = side.results_table(results).rows
    assert [r["method"] for r in rows] == ["nerf voxel", "splats cpu"]
    assert all(r["PSNR, dB"] > 12 and r["render, ms"] > 0 and r["iterations"] == 40 for r in rows)
    assert all(len(r.curve) and r.curve[-1, 1] > 12 for r in results)
    again = side.compare_methods(data, tmp_path, methods, config)  # read back, curves too
    assert np.array_equal(again[0].curve, results[0].curve)
    assert side.curves_plot(results).std() > 5
    assert side.difference_picture(results, data, 32, views=2, cell=40).shape[1] == 200
    assert side.geometry_picture(results[0].scene, data, 32, views=2, cell=40).shape[0] == 120
    assert side.geometry_picture(results[1].scene, data, 32, views=2, cell=40).shape[0] == 80


def test_a_field_of_the_panel_is_not_trained_again_for_the_comparison(data, tmp_path):
    panel = NerfPanel(data, out=tmp_path, iterations=30, resolution=32, backend="voxel")
    panel.run()
    result, = side.compare_methods(data, tmp_path, ["nerf:voxel"], panel.config)
    assert result.metrics == panel.metrics and np.array_equal(result.curve, panel.held_out)
    assert len(list(tmp_path.iterdir())) == 1
