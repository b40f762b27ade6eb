"""Settings check their own bounds."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from idf_helpers.errors import IdfError
from idf_helpers.runtime.settings import Interval, Settings, bounds, check_range, range_text


@dataclass(frozen=True)
class Inner(Settings):
    share: Annotated[float, Interval(ge=0, le=1)] = 0.5


@dataclass(frozen=True)
class Outer(Settings):
    size: Annotated[int | None, Interval(ge=16)] = None
    sigma: Annotated[float, Interval(gt=0, lt=2)] = 1.0
    kind: Literal["box", "gauss"] = "box"
    parts: Annotated[tuple[float, ...], Interval(ge=0, le=1)] = ()
    inner: Inner = field(default_factory=Inner)

    def _check_together(self):
        if self.kind == "box" and self.size == 99:
            raise IdfError("A box of 99 does not fit", "99", "take another size")


@pytest.mark.parametrize("good", [
    Outer(), Outer(size=16, sigma=1.999, kind="gauss", parts=(0, 0.5, 1), inner=Inner(1.0))])
def test_what_is_within_bounds_comes_back(good):
    assert good.checked() is good


@pytest.mark.parametrize("bad, name, words", [
    (Outer(size=15), "size", "of 16 or more"), (Outer(sigma=0.0), "sigma", "in (0, 2)"),
    (Outer(sigma=2.0), "sigma", "in (0, 2)"), (Outer(sigma=float("nan")), "sigma", "in (0, 2)"),
    (Outer(kind="ring"), "kind", "box, gauss"), (Outer(parts=(0.1, 1.1)), "parts", "in [0, 1]"),
    (Outer(inner=Inner(-0.1)), "share", "in [0, 1]")])
def test_the_first_field_out_of_bounds_is_named(bad, name, words):
    with pytest.raises(IdfError, match=f"`{name}`") as error:
        bad.checked()
    assert words in error.value.do and error.value.found


def test_fields_that_do_not_fit_each_other():
    with pytest.raises(IdfError, match="does not fit"):
        Outer(size=99).checked()
    Outer(size=99, kind="gauss").checked()


def test_bounds_of_a_union_and_in_words():
    assert bounds(Annotated[int | None, Interval(ge=16)]) == (16, None, False, False)
    assert bounds(int) is None
    assert range_text(None, 5) == "of at most 5" and range_text(0, None, True) == "above 0"


def test_an_argument_without_settings():
    check_range("views", None, 1, 10)
    check_range("views", 10, 1, 10)
    with pytest.raises(IdfError, match="`views` is out of range"):
        check_range("views", 11, 1, 10)
