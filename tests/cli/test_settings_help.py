"""The command line shows each setting with its text, its default and its range."""

from dataclasses import dataclass, fields
from typing import Annotated, get_type_hints

import pytest
import tyro

from idf_helpers.cli.settings_help import REGISTRY, field_help
from idf_helpers.reconstruction.splats.config import SplatConfig
from idf_helpers.runtime.settings import Interval, Settings, bounds, range_text


@dataclass(frozen=True)
class Base(Settings):
    count: Annotated[int, Interval(ge=1)] = 3
    """Pieces at
    the start."""


@dataclass(frozen=True)
class Blur(Base):
    sigma: Annotated[float | None, Interval(gt=0, le=20)] = None
    """Standard deviation in pixels."""
    name: str = "box"
    """Its kernel."""


def run(*argv, default=Blur()):
    def command(config: Annotated[type(default), tyro.conf.arg(name="")] = default):
        return config
    return tyro.cli(command, args=argv, registry=REGISTRY)


def test_the_range_stands_behind_the_text_and_inherited_fields_have_theirs():
    assert field_help(Blur, "count") == "Pieces at the start (of 1 or more)."
    assert field_help(Blur, "sigma") == "Standard deviation in pixels (in (0, 20])."
    assert field_help(Blur, "name") == "Its kernel."


def test_values_and_defaults_arrive_as_without_it():
    assert run() == Blur()
    assert run(default=Blur(name="gauss")) == Blur(name="gauss")
    assert run("--sigma", "2", "--count", "7") == Blur(7, 2.0)


def test_help_names_every_field_with_text_and_range(capsys):
    with pytest.raises(SystemExit):
        run("--help", default=SplatConfig())
    shown = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    hints = get_type_hints(SplatConfig, include_extras=True)
    for field in fields(SplatConfig):
        text = field_help(SplatConfig, field.name)
        assert text and text in shown and f"--{field.name.replace('_', '-')} " in shown
        if bound := bounds(hints[field.name]):
            assert range_text(*bound) in text
