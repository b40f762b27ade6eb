"""Notebook 03's panel, and the comparison with splats."""

import io

import numpy as np
import pytest
from PIL import Image

from idf_helpers.data.dataset import Dataset
from idf_helpers.notebook import compare_methods as versus
from idf_helpers.notebook.nerf_panel import NerfPanel
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
    panel.iterations, panel.budget.value = None, 7
    assert panel.config.budget_s == 7.0 and panel.config.resolution == 32


def test_nerf_and_splats_on_the_same_views(data, tmp_path):
    config = VoxelConfig(iterations=40, resolution=32)
    contests = versus.compare_with_splats(data, tmp_path, config)
    rows = versus.versus_table(contests)
    assert [r["method"] for r in rows] == ["NeRF (voxel)", "Gaussian splats"]
    assert all(r["PSNR, dB"] > 12 and r["render, ms"] > 0 for r in rows)
    assert all(len(c.curve) and c.curve[-1, 1] > 12 for c in contests)
    again = versus.compare_with_splats(data, tmp_path, config)  # read back, curves too
    assert np.array_equal(again[0].curve, contests[0].curve)
    assert versus.curves_plot(contests).std() > 5
    assert versus.difference_picture(contests, data, 32, views=2, cell=40).shape == (112, 200, 3)
    assert versus.geometry_picture(contests[0].scene, data, 32, views=2,
                                   cell=40).shape == (120, 80, 3)
