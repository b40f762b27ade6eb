import math

import pytest

from idf_helpers import IdfError
from idf_helpers.exporting.config import ExportConfig


@pytest.mark.parametrize("field, value", [
    ("resolution", 0), ("resolution", -7), ("resolution", 100_000), ("frames", 0), ("frames", -1),
    ("fps", 0), ("fps", math.nan), ("fps", math.inf), ("elevation", 90), ("elevation", math.nan),
])
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(IdfError, match=f"`{field}` is out of range"):
        ExportConfig(**{field: value}).checked()
    assert ExportConfig().checked() == ExportConfig()
