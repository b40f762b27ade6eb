"""What was understood of an input, before anything is made of it."""

from .inspection import Inspection
from .look import inspect

__all__ = ["Inspection", "inspect"]
