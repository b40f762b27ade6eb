"""Shared fixtures: tiny pictures and datasets that the tests make themselves."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.avatars import talking, trained  # noqa: F401
from tests.fixtures.datasets import make_dataset
from tests.fixtures.heads import (  # noqa: F401  (fixtures of the whole session)
    detector,
    head_views,
    photos,
    small_head,
    view_at,
)

# The key that signs is made at first use: not in the home of whoever runs the tests.
KEYS = tempfile.mkdtemp(prefix="idf-keys-")
atexit.register(shutil.rmtree, KEYS, ignore_errors=True)
os.environ["IDF_KEYS"] = os.path.join(KEYS, "keys")

# IDF_FUZZ=long: many random examples, new ones at each run; else few, and always the same.
settings.register_profile("ci", max_examples=40, derandomize=True, deadline=None, database=None,
                          suppress_health_check=list(HealthCheck))
settings.register_profile("long", max_examples=5000, deadline=None, print_blob=True,
                          suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("IDF_FUZZ", "ci"))

# A shell starts background jobs with Ctrl-C ignored; what tests say about Ctrl-C holds there too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def dataset_folder(tmp_path):
    return make_dataset(tmp_path / "data")


@pytest.fixture
def edit_json():
    """edit_json(path, lambda data: ...) changes a JSON file in place."""
    def edit(path, change):
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
    return edit
