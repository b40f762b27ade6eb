"""Settings of training with graphdeco's own train.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...config import CountedConfig
from ...splats.config import GaussianConfig


@dataclass(frozen=True)
class GraphdecoConfig(CountedConfig, GaussianConfig):
    """Settings of 3DGS as published: its defaults otherwise, with steps in proportion where its own
    are counted for 30 000."""

    background: Literal["auto", "white", "black"] = "auto"
    """What lies behind. auto: white where the pictures have alpha; without it white or black,
    whichever the pictures' borders are nearer."""
