"""A table of methods: what `auto` takes and why, and what is asked for by name."""

import math

import pytest

from idf_helpers.errors import IdfError
from idf_helpers.runtime.registry import Entry, Registry, lacks_modules


@pytest.fixture
def table():
    return Registry("swap", [
        Entry("plain", "math:sqrt", "plain", 10),
        Entry("best", "math:sin", "best", 30, lambda: "no GPU: buy one"),
        Entry("closed", "math:cos", "closed", 25, license="research only", commercial=False),
        Entry("views", "math:tan", "views", 20, needs=frozenset({"cameras"}))])


def test_auto_takes_the_best_that_runs_and_says_why(table):
    entry, why = table.choose(offers=frozenset({"cameras"}))
    assert entry.name == "views"
    assert "best: no GPU: buy one" in why and "closed is research only" in why
    assert table.choose()[0].name == "plain"


def test_asked_by_name(table):
    assert table.load("plain") is math.sqrt
    assert table.choose("closed")[0].name == "closed"  # the user may
    with pytest.raises(IdfError, match="needs cameras") as error:
        table.choose("views")
    assert error.value.do == "use one of: best, closed, plain"  # not the one that does not fit
    with pytest.raises(IdfError, match="buy one"):
        table.load("best")
    with pytest.raises(IdfError, match="best, closed, views, plain") as error:
        table.choose("view")
    assert "did you mean `views`" in error.value.found


def test_nothing_runs(table):
    alone = Registry("swap", [table.entries["best"], table.entries["closed"]])
    with pytest.raises(IdfError, match="No swap method can run here") as error:
        alone.choose()
    assert "buy one" in error.value.found and "research only" in error.value.found


def test_rows_are_best_first_and_say_what_is_missing(table):
    rows = table.available()
    assert [r.name for r in rows] == ["best", "closed", "views", "plain"]
    assert rows[0].missing == "no GPU: buy one" and rows[3].missing == ""


def test_names_that_are_made_up_and_entries_that_are_added(table):
    made = Registry("swap", table.entries.values(), lambda name: Entry(
        name, "math:pow", "", 0, argument=None) if name.startswith("up+") else None)
    assert made.load("up+plain") is math.pow and "up+plain" not in made.names()
    table.add(Entry("plain", "math:floor", "replaced", 99))
    assert table.choose()[0].load() is math.floor and len(table.names()) == 4


def test_lacking_modules():
    assert lacks_modules(json="")() is None
    assert "pip install nosuch" in lacks_modules(nosuch_module="nosuch")()
