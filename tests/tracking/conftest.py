import pytest

from idf_helpers.face.landmarks import LandmarkDetector


@pytest.fixture(scope="session")
def detector():
    return LandmarkDetector()
