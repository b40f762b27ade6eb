"""Consent before a swap, and marks on everything that leaves the program."""

from .consent import Consent, require_consent
from .marks import Mark, label, mark, mark_picture_bytes, marked
from .verify import verify

__all__ = ["Consent", "Mark", "label", "mark", "mark_picture_bytes", "marked",
           "require_consent", "verify"]
