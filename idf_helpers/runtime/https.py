"""Files at https addresses: certificates are checked, and redirects may not leave https."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT_S = 60
BLOCK = 1 << 20  # bytes


class NotFetched(Exception):
    """The reason why an address did not yield its file."""


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme != "https":
            raise urllib.error.URLError(f"redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_https(url: str, method: str = "GET"):
    """Return the answer of an https address. NotFetched: another scheme, or no answer."""
    if urlsplit(url).scheme != "https":
        raise NotFetched("the address is not https")
    opener = urllib.request.build_opener(
        _HttpsOnly, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    try:
        return opener.open(urllib.request.Request(url, method=method), timeout=TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        raise NotFetched(str(error)[:200] or type(error).__name__) from None


def save(url: str, file, limit: int) -> None:
    """Write what an https address gives to a file, at most `limit` bytes.

    NotFetched: no answer, more bytes than that, a connection that breaks. OSError is then only of
    the disk.
    """
    with open_https(url) as answer, open(file, "wb") as out:
        while block := _read(answer):
            if out.tell() + len(block) > limit:
                raise NotFetched(f"more than {limit} bytes")
            out.write(block)


def _read(answer) -> bytes:
    try:
        return answer.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(str(error)[:200] or type(error).__name__) from None
