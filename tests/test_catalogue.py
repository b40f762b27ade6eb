import pytest

from idf_helpers import IdfError
from idf_helpers.catalogue import STAGES, Backend


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(backends, "_REGISTRY", {})
    made = [Backend("swap", "best", "math:sin", "best", 30, lambda: "no GPU: buy one"),
            Backend("swap", "closed", "math:cos", "closed", 25, license="research only",
                    commercial=False),
            Backend("swap", "views", "math:tan", "views", 20, needs=frozenset({"cameras"})),
            Backend("swap", "plain", "math:sqrt", "plain", 10)]
    for b in made:
        backends.register(b)


def test_auto_takes_the_best_that_runs_and_says_why(registry):
    b, why = STAGES["swap"].choose(offers=frozenset({"cameras"}))
    assert b.name == "views"
    assert "best: no GPU: buy one" in why and "closed is research only" in why
    assert STAGES["swap"].choose()[0].name == "plain"


def test_asked_by_name(registry):
    import math
    assert STAGES["swap"].load("plain") is math.sqrt
    assert STAGES["swap"].choose("closed")[0].name == "closed"  # the user may
    with pytest.raises(IdfError, match="needs cameras") as error:
        STAGES["swap"].choose("views")
    assert error.value.do == "use one of: best, closed, plain"  # not the one that does not fit
    with pytest.raises(IdfError, match="buy one"):
        STAGES["swap"].load("best")
    with pytest.raises(IdfError, match="best, closed, views, plain"):
        STAGES["swap"].choose("worst")


def test_nothing_runs(registry, monkeypatch):
    monkeypatch.setattr(backends, "_REGISTRY", {k: v for k, v in backends._REGISTRY.items()
                                                if k[1] in ("best", "closed")})
    with pytest.raises(IdfError, match="No swap backend"):
        STAGES["swap"].choose()


def test_the_real_ones_load():
    for stage in backends.STAGES:
        rows = backends.available(stage)
        assert rows
        for row in rows:
            if not row.missing:
                assert callable(backends.get(stage, row.name))


def test_lacking_module():
    assert backends.lacks_module("json", "")() is None
    assert "pip install nosuch" in backends.lacks_module("nosuch_module", "pip install nosuch")()
