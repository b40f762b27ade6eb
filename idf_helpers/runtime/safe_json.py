"""JSON that may come from anywhere: size, depth and kinds of values are checked before use.

Python's own reader takes more than RFC 8259 means: NaN, 1e999 (infinity), numbers of thousands of
digits, two values under one key, halves of surrogate pairs, which no file can be named with.
https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from ..errors import IdfError

MAX_BYTES = 64 * 2**20
MAX_VALUES = 4_000_000  # a Python object of some 60 bytes each: 64 MB of "[]" would take gigabytes
MAX_DEPTH = 100

_STEPS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_LONG_NUMBER = re.compile(r"[eE]\+?\d{3}|\d{19}")
_ODD_TEXT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def parse(data: bytes | str, what: str, do: str = "write the file again", bits: int = 64):
    """Return the value of JSON text.

    what: names it in messages ("The camera file x.json"); do: what the user can do. bits: of the
    largest integer. IdfError: too large, not UTF-8, malformed (line and column), nested too deeply,
    NaN, infinity or a larger integer, a key twice in one object, text that is no Unicode.
    """
    if len(data) > MAX_BYTES:
        raise IdfError(f"{what} is too large", f"{len(data) / 1e6:.0f} MB",
                       f"the limit is {MAX_BYTES / 1e6:.0f} MB")
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise IdfError(f"{what} is not UTF-8 text", "another encoding",
                           "save it as UTF-8") from None
    if data.count(",") + data.count("[") + data.count("{") > MAX_VALUES:
        raise IdfError(f"{what} is too large", "millions of values",
                       f"the limit is {MAX_VALUES} values")
    if _is_too_deep(data):
        raise IdfError(f"{what} is nested too deeply", f"more than {MAX_DEPTH} levels", do)
    odd = bool(_LONG_NUMBER.search(data))  # hooks for each number cost time
    try:
        value = json.loads(data, parse_constant=_finite, object_pairs_hook=_once,
                           parse_float=_finite if odd else None,
                           parse_int=(lambda t: _whole(t, bits)) if odd else None)
    except _Refused as refused:
        raise IdfError(f"{what} {refused.args[0]}", refused.args[1], refused.args[2]) from None
    except json.JSONDecodeError as error:
        raise IdfError(f"{what} is not valid JSON",
                       f"{error.msg} at line {error.lineno}, column {error.colno}",
                       "correct it there, or write the file again") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise IdfError(f"{what} is not valid JSON", str(error)[:120] or type(error).__name__,
                       do) from None
    if _ODD_TEXT.search(data) and not _is_plain(value):
        raise IdfError(f"{what} holds text that is no Unicode",
                       "half of a surrogate pair, or a zero character", do)
    return value


def parse_record(data: bytes | str, kinds: Mapping[str, type | tuple[type, ...]], what: str,
                 do: str = "write the file again") -> dict:
    """Return `parse` of an object that must hold the keys of `kinds`, with values of these kinds;
    a bool is no int. IdfError where it does not."""
    value = parse(data, what, do)
    if not isinstance(value, dict):
        raise IdfError(f"{what} holds no object", type(value).__name__, do)
    for key, kind in kinds.items():
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if key not in value:
            raise IdfError(f"{what} is incomplete", f"no `{key}`", do)
        if not isinstance(value[key], allowed) or \
                isinstance(value[key], bool) and bool not in allowed:
            raise IdfError(f"`{key}` of {what[:1].lower() + what[1:]} is of another kind",
                           f"{value[key]!r}"[:80], do)
    return value


class _Refused(Exception):
    """what, found, do of an IdfError that does not know its file."""


def _is_too_deep(text: str) -> bool:
    if max(text.count("["), text.count("{")) <= MAX_DEPTH // 2:
        return False
    depth = 0
    for match in _STEPS.finditer(text):
        sign = text[match.start()]
        depth += (sign in "[{") - (sign in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("holds a value that is not a number", text[:40],
                       "replace NaN and Infinity by finite numbers")
    return value


def _whole(text: str, bits: int) -> int:
    if len(text) > bits or abs(int(text)) >= 2**bits:
        raise _Refused("holds a number that is too large", f"{text[:20]}…",
                       f"write integers of at most {bits} bits")
    return int(text)


def _once(pairs: list[tuple[str, object]]) -> dict:
    out = dict(pairs)
    if len(out) < len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))
        raise _Refused("says two things of one name", f"the key {twice[:60]!r} stands twice",
                       "keep one of them")
    return out


def _is_plain(value) -> bool:
    """Whether all text in it can be written as UTF-8 and handed to the system."""
    if isinstance(value, str):
        return "\0" not in value and value.isascii() or _encodes(value)
    if isinstance(value, dict):
        return all(_is_plain(k) and _is_plain(v) for k, v in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list) else True


def _encodes(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
