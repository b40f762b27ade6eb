"""Settings of the swap stage; apart, so that the command line need not load the stage to ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SwapConfig:
    """Settings of the swap stage that decide its output.

    backend: "auto", or a name of `idf doctor`: uv (consistent between views), mesh (2D).
    face: which face of the source photo, counted from the left from 0; None = there is one.
    """

    backend: str = "auto"
    face: int | None = None
