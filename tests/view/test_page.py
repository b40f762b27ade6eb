"""The page of a model as an export format, and how far it can be turned."""

import json
import re

import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.cameras import Camera
from idf_helpers.view.config import ExportConfig
from idf_helpers.view.export import Model, export
from idf_helpers.view.orbit import turn_limit
from idf_helpers.view.page import write_page
from idf_helpers.view.rig import Track
from tests.browser.talking_ball import NAMES, BallScene


def ring(angles):
    return [Camera.look_at((4 * np.sin(a), -4 * np.cos(a), 0.2), (0, 0, 0), (0, 0, 1), 0.5, 64, 64)
            for a in np.radians(angles)]


@pytest.mark.parametrize("angles, limit", [
    (np.arange(0, 360, 30), None), (np.arange(-40, 41, 10), 65), (np.arange(-170, 171, 20), None)])
def test_a_viewer_turns_as_far_as_there_is_something_to_see(angles, limit):
    found = turn_limit(ring(angles))
    assert found is None if limit is None else found == pytest.approx(limit, abs=2)


def test_an_avatars_page_is_an_export_like_any_other(tmp_path):
    scene = BallScene(600)
    mark = provenance.Mark("0123456789ab", "an avatar", consent="c" * 64)
    writers = {"html": lambda *a: write_page(*a, track=Track(np.zeros((5, len(NAMES)))))}
    model = Model(scene, mark, tmp_path, "avatar", writers, 128)
    path = export(model, tmp_path / "out" / "avatar.html", config=ExportConfig())
    text = path.read_text()
    assert provenance.marks.parse(text)["made"] == "an avatar"
    assert "AI-assisted face swap" in text.split('id="label"')[1][:80]
    page = json.loads(re.search(r'id="page">(.*?)</script>', text, re.S)[1])
    assert len(page["rig"]["sliders"]) == 9 and page["rig"]["track"]["frames"] == 5
    assert 50 < page["frame"]["turn"] < 65 and page["frame"]["sweep"] < 80
