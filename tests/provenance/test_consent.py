import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.provenance import Consent, require_consent


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "me.png"
    media.write_image(path, np.zeros((8, 8, 3), np.uint8))
    return path


def test_bundled_faces_need_no_statement():
    record = require_consent("", samples.photo("C").read_bytes(), [samples.photo("B")])
    assert record.basis == "synthetic"


@pytest.mark.parametrize("statement", ["", "   ", "yes", "I agree"])
def test_other_faces_need_one(foreign, statement):
    bundled = samples.photo("B")
    for source, target, words in ((foreign, bundled, "the source photo"),
                                  (bundled, foreign, "the target"),
                                  (foreign, foreign, "the source photo and the target")):
        with pytest.raises(IdfError, match=f"covering {words}"):
            require_consent(statement, source.read_bytes(), [target])


def test_a_bundled_picture_that_was_changed_is_not_bundled(tmp_path):
    data = samples.photo("B").read_bytes() + b"x"
    with pytest.raises(IdfError, match="consent"):
        require_consent("", data, [samples.photo("C")])


def test_record_is_stored_and_read_back(tmp_path, foreign):
    record = require_consent("Both show me; I agree.", foreign.read_bytes(), [foreign])
    assert record.basis == "statement" and len(record.source_sha256) == 64
    record.write(tmp_path)
    record.write(tmp_path)
    assert Consent.read(tmp_path) == record
    other = require_consent("Another of my statements.", foreign.read_bytes(), [foreign])
    other.write(tmp_path)  # beside it, not over it
    assert Consent.read(tmp_path, record.digest) == record
    assert Consent.read(tmp_path, other.digest) == other
    assert len(list(tmp_path.glob("consent*.json"))) == 2
    (tmp_path / "consent.json").write_text("{}")
    with pytest.raises(IdfError, match="incomplete"):
        Consent.read(tmp_path)
