"""JSON of strangers: a value that the rest of the program can use, or one clear error."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers.errors import IdfError
from idf_helpers.runtime.safe_json import MAX_DEPTH, MAX_VALUES, parse, parse_record


@pytest.mark.parametrize("text, match", [
    ("[1, NaN]", "not a number"), ("[-Infinity]", "not a number"), ("[1e999]", "not a number"),
    ("[1e+0999]", "not a number"), ("1" + "0" * 30, "too large"), ("9" * 5000, "too large"),
    ('{"a": 1, "a": 2}', "two things"), ('["\\ud800"]', "no Unicode"),
    ('["a\\u0000"]', "no Unicode"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deeply"),
    ('{"a":' * 100_000, "nested too deeply"), ("[" + "0," * MAX_VALUES + "0]", "too large"),
    ("{", "line 1, column 2"), ("", "not valid JSON"), (b"\xff\xfe", "not UTF-8")])
def test_what_the_rest_of_the_program_could_not_use_is_refused(text, match):
    with pytest.raises(IdfError, match=match) as error:
        parse(text, "The file x")
    assert "The file x" in error.value.what and error.value.found and error.value.do


def test_what_is_meant_is_read():
    assert parse(b"\xef\xbb\xbf[18446744073709551615, 1e300, 0.12345678901234567890]", "it") == [
        2**64 - 1, 1e300, 0.12345678901234567890]
    assert parse('["\\ud83d\\ude00", "[[[[["]', "it") == ["\U0001f600", "[[[[["]
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "it")
    assert parse(str(2**127), "it", bits=128) == 2**127


@pytest.mark.parametrize("text, match", [("[]", "no object"), ("{}", "no `pid`"),
                                         ('{"pid": "1"}', "another kind"),
                                         ('{"pid": true}', "another kind")])
def test_a_record_has_its_keys_in_the_kinds_that_are_needed(text, match):
    with pytest.raises(IdfError, match=match):
        parse_record(text, {"pid": int}, "The lock")


VALUES = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
                      lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                      max_leaves=20)


@given(VALUES)
def test_a_value_comes_back_as_json_itself_reads_it_or_is_refused(value):
    text = json.dumps(value)
    try:
        found = parse(text, "it")
    except IdfError:
        assert "NaN" in text or "Infinity" in text or "\\u" in text \
            or any(abs(n) >= 2**64 for n in _numbers(value))
    else:
        assert found == json.loads(text)


def _numbers(value):
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    elif isinstance(value, (int, float)) and math.isfinite(value):
        yield value


@given(st.binary() | st.text())
def test_nothing_but_our_error_comes_out(data):
    try:
        parse(data, "it")
    except IdfError as error:
        assert error.found and error.do
