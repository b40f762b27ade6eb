"""Files at https addresses: certificates are checked, redirects may not leave https, nor lead from
a public address to this machine or its network; what only drips in is given up."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from . import dial

TIMEOUT_S = 60  # for the headers, and for each silence
BLOCK = 1 << 20  # bytes
SLOWEST = 16_384  # bytes a second, on average after the first minute
LONGEST_S = 12 * 3600


class NotFetched(Exception):
    """The reason why an address did not yield its file."""


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"redirected to {newurl}, which is not https")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.deadline = getattr(req, "deadline", None)
            new.begun = getattr(req, "begun", req)
        return new


def _public(request, address) -> str:
    """Say why not: a user may name a place in their own network, a stranger's redirect may not."""
    first = getattr(request, "begun", None)
    if first is None:
        request.private = not address.is_global
        return ""
    inside = not address.is_global and not getattr(first, "private", False)
    return "a redirect into this machine or its network" \
        if inside and not request.has_proxy() else ""


def open_https(url: str, method: str = "GET"):
    """Return the answer of an https address. NotFetched: another scheme, or no answer."""
    if urlsplit(url).scheme != "https":
        raise NotFetched("the address is not https")
    opener = urllib.request.build_opener(_HttpsOnly, *dial.handlers(_public))
    request = urllib.request.Request(url, method=method)
    with dial.Deadline(TIMEOUT_S) as deadline:
        request.deadline = deadline  # type: ignore[attr-defined]
        try:
            return opener.open(request, timeout=TIMEOUT_S)
        except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
            why = f"no answer within {TIMEOUT_S} s" if deadline.passed else str(error)[:200]
            raise NotFetched(why or type(error).__name__) from None


def save(url: str, file, limit: int) -> None:
    """Write what an https address gives to a file, at most `limit` bytes.

    NotFetched: no answer, more bytes than that, fewer than announced, a connection that breaks, is
    slower than SLOWEST or takes longer than LONGEST_S. OSError is then only of the disk.
    """
    started = time.monotonic()
    with open_https(url) as answer, open(file, "wb") as out:
        while block := _read(answer):
            if out.tell() + len(block) > limit:
                raise NotFetched(f"more than {limit} bytes")
            out.write(block)
            took = time.monotonic() - started
            if took > LONGEST_S or (took - TIMEOUT_S) * SLOWEST > out.tell():
                raise NotFetched(f"only {out.tell()} bytes in {took:.0f} s")
        announced = getattr(answer, "headers", None) and answer.headers.get("Content-Length")
        if announced and announced.isdecimal() and out.tell() < int(announced):
            raise NotFetched(f"the connection broke after {out.tell()} of {announced} bytes")


def _read(answer) -> bytes:
    try:
        return answer.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(str(error)[:200] or type(error).__name__) from None
