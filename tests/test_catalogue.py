"""The tables of all stages name methods that exist, with settings that exist."""

import pytest

from idf_helpers.catalogue import DOWNLOADS, OFFERS, STAGES, find_download
from idf_helpers.errors import IdfError

ENTRIES = [(stage, entry) for stage, table in STAGES.items() for entry in table.entries.values()]


@pytest.mark.parametrize("stage, entry", ENTRIES, ids=lambda v: getattr(v, "name", v))
def test_every_method_that_can_run_here_loads(stage, entry):
    assert entry.summary and entry.license
    assert entry.needs <= OFFERS
    if entry.config:
        entry.config_type()().checked()  # the defaults are within their own bounds
    lack = entry.missing()
    if lack is None:
        assert entry.load() is not None
    else:
        assert isinstance(lack, str) and lack


def test_no_automatic_choice_is_non_commercial():
    for table in STAGES.values():
        if table.automatic:
            entry, why = table.choose(offers=OFFERS)
            assert entry.commercial and why.startswith(f"{entry.name}: ")


def test_downloads_by_name():
    assert find_download("face_landmarks") is DOWNLOADS["face_landmarks"]
    with pytest.raises(IdfError, match="no download") as error:
        find_download("face_landmark")
    assert "face_landmarks" in str(error.value)
