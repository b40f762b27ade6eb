"""A tiny talking head and an avatar trained on it, once for all tests of this folder."""

import pytest

from idf_helpers.data.dataset import Dataset
from idf_helpers.reconstruction import reconstruct
from idf_helpers.reconstruction.avatar.config import AvatarConfig
from tests.fixtures.talking import write_talking

SMALL = dict(initial=500, max_gaussians=700, check_poses=False, resolution=48)


@pytest.fixture(scope="session")
def talking(tmp_path_factory):
    return write_talking(tmp_path_factory.mktemp("talking") / "data")


@pytest.fixture(scope="session")
def trained(talking, tmp_path_factory):
    """(run folder, scene) of 700 steps at 48 pixels, with the static baseline."""
    out = tmp_path_factory.mktemp("avatar") / "run"
    scene = reconstruct(Dataset.open(talking), out, "avatar:cpu",
                        AvatarConfig(iterations=700, baseline=True, **SMALL))
    return out, scene
