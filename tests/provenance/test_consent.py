import json

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.data import media, samples
from idf_helpers.provenance import Consent, consent, require_consent
from idf_helpers.runtime.files import read_json, stable_hash


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "me.png"
    media.write_image(path, np.zeros((8, 8, 3), np.uint8))
    return path


def test_bundled_faces_need_no_statement():
    record = require_consent("", samples.photo("C").read_bytes(), [samples.photo("B")])
    assert record.basis == "synthetic"


@pytest.mark.parametrize("statement", ["", "   ", "yes", "I agree", ". . .", "a b c", "x x x x x",
                                       "1 2 3 4 5 6 7 8 9", "zzzz zzzz zzzz", "--- --- ---"])
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


@pytest.mark.parametrize("statement", [
    "Both pictures show me.", "Ich bin beide und stimme zu.", "两张照片都是我本人同意",
    "両方の写真は私のものです", "Обе фотографии мои, согласен."])
def test_a_sentence_in_any_script_is_a_statement(foreign, statement):
    assert require_consent(statement, foreign.read_bytes(), [foreign]).statement == statement


def test_who_states_it_is_kept(foreign, monkeypatch):
    def by(statement):
        return require_consent(statement, foreign.read_bytes(), [foreign]).by

    assert by("Both show me, I agree. -- Anna K., who is shown") == "Anna K., who is shown"
    assert by("Both show me, I agree \u2014 the photographer") == "the photographer"
    assert by("A well-known face--mine, and I agree to it") == ""
    monkeypatch.setenv("IDF_CONSENT_BY", "  studio,\n Berlin ")
    assert by("Both show me, and I agree.") == "studio, Berlin"
    assert by("Both show me, I agree. -- Anna") == "Anna"


def test_a_record_is_signed_and_a_changed_one_is_told(tmp_path, foreign):
    record = require_consent("Both show me, I agree. -- Anna", foreign.read_bytes(), [foreign])
    path = record.write(tmp_path)
    there = Consent.read(tmp_path)
    assert there.state == "signed" and there.digest == record.digest and there.by == "Anna"
    for key, value in (("statement", "Somebody else agrees to it."), ("by", "Berta"),
                       ("target_sha256", "0" * 64), ("signature", "AAAA"), ("signature", "\u00e9"),
                       ("certificate", "no certificate")):
        data = read_json(path)
        data[key] = value
        path.write_text(json.dumps(data))
        assert Consent.read(tmp_path).state == "changed", key
        path.unlink()
        record.write(tmp_path)


def test_a_record_of_an_earlier_version_is_read_with_its_digest(tmp_path):
    old = {"statement": "Both agreed to this.", "basis": "statement", "source_sha256": "a" * 64,
           "target_sha256": "b" * 64, "date": "2026-01-01"}
    digest = stable_hash(old)
    (tmp_path / "consent.json").write_text(json.dumps(old | {"digest": digest}))
    record = Consent.read(tmp_path, digest)
    assert record.digest == digest and record.state == "unsigned" and record.by == ""


@pytest.mark.parametrize("statement", ["\u0939\u093e\u0901 \u092e\u0948\u0902 \u0938\u0939\u092e"
                                       "\u0924 \u0939\u0942\u0901",
                                       "\u134e\u1276\u12cd \u12e8\u12a5\u1294 \u1290\u12cd"])
def test_vowel_marks_and_syllables_count(statement):
    assert consent.states_something(statement)
