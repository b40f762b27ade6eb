import pytest

from idf_helpers.swap.landmarks import LandmarkDetector


@pytest.fixture(scope="session")
def detector():
    return LandmarkDetector()
