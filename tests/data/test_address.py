"""How a dataset is named: options after its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idf_helpers.data.address import Address
from idf_helpers.errors import IdfError


def test_options_follow_the_place(tmp_path):
    assert Address.parse("a/b") == Address("a/b")
    assert Address.parse(" a/b#root=..&time=1.5 ") == Address("a/b", "..", 1.5)
    assert Address.parse("https://x.org/d.zip#time=3") == Address("https://x.org/d.zip", None, 3.0)
    assert str(Address("a", "..", 0.1)) == "a#root=..&time=0.1"
    (tmp_path / "b#time=1").mkdir()  # a folder of that very name
    assert Address.parse(tmp_path / "b#time=1") == Address(str(tmp_path / "b#time=1"))


@pytest.mark.parametrize("text, word", [("a#tiem=3", "time"), ("a#root=", "root="),
                                        ("a#time=x", "number"), ("a#time=nan", "number"),
                                        ("a#time=1&x=2", "x=2")])
def test_other_options_are_refused(text, word):
    with pytest.raises(IdfError) as error:
        Address.parse(text)
    assert word in str(error.value) and error.value.do


def test_the_root_must_lie_above(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    assert Address("", "..").within(tmp_path / "a/b") == tmp_path / "a"
    assert Address("", str(tmp_path)).within(tmp_path / "a/b") == tmp_path
    assert Address("").within(tmp_path) is None
    for root in ("../../c", "../nowhere"):
        with pytest.raises(IdfError, match="not a folder above"):
            Address("", root).within(tmp_path / "a/b")


@given(st.text(st.characters(exclude_characters="#\0", exclude_categories=("Cs",)), min_size=1)
       .map(str.strip).filter(bool),
       st.none() | st.text("./abc", min_size=1),
       st.none() | st.floats(-1e6, 1e6).map(lambda v: float(f"{v:.9g}")))
def test_what_is_written_is_read_back(place, root, time):
    assert Address.parse(str(Address(place, root, time))) == Address(place, root, time)
