"""Connections of `urllib`: the addresses that are checked are those that are connected to, and a
time limit holds for all of an exchange, headers that come one byte at a time included.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
import urllib.request
from collections.abc import Callable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Refused(OSError):
    """An address that is not to be connected to; the text says why."""


class Deadline:
    """Cuts the connections of a block when its time is over; `passed` says whether it was.

    Reads then end with an error or early: what they returned is not to be used.
    """

    def __init__(self, seconds: float):
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_) -> None:
        self._timer.cancel()
        with self._lock:
            for kept in self._sockets:
                kept.close()
            self._sockets = []

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection, too."""
        with self._lock:
            self._sockets.append(connection.dup())  # TLS takes the socket itself apart
            if self.passed:
                raise TimeoutError

    def _cut(self) -> None:
        with self._lock:
            self.passed = True
            for kept in self._sockets:
                with contextlib.suppress(OSError):
                    kept.shutdown(socket.SHUT_RDWR)


def meant(address: str) -> Address:
    """Return the address that a text stands for, without its zone; the IPv4 address inside an IPv6
    one, where packets would go. ValueError: it is none."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return inner or found
    return found


def handlers(allowed: Callable[[urllib.request.Request, Address], str]) -> list:
    """Return handlers for `urllib.request.build_opener`.

    allowed: returns why a request may not go to an address, "" where it may. All addresses of a
    name are asked for, then the first that answers is connected to, by number. A request with a
    `deadline` is watched by it. Of a proxy, it is the proxy's address.
    """
    def connection(kind, request, host, **options):
        made = kind(host, **options)
        made._create_connection = functools.partial(
            _dial, allowed=functools.partial(allowed, request),
            deadline=getattr(request, "deadline", None))
        return made

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, req):
            return self.do_open(functools.partial(connection, http.client.HTTPConnection, req), req)

    class Tls(urllib.request.HTTPSHandler):
        def https_open(self, req):
            return self.do_open(functools.partial(connection, http.client.HTTPSConnection, req),
                                req, context=ssl.create_default_context())

    return [Plain, Tls]


def _dial(where: tuple[str, int], timeout=None, source=None, *, allowed, deadline) -> socket.socket:
    found = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)
    for *_, at in found:
        if why := allowed(meant(str(at[0]))):
            raise Refused(f"{where[0]} is {at[0]}: {why}")
    failure: OSError = OSError(f"{where[0]} has no address")
    for family, kind, protocol, _, at in found:
        made = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, (int, float)):
                made.settimeout(timeout)
            if deadline is not None:
                deadline.watch(made)
            made.connect(at)
            return made
        except OSError as error:
            failure = error
            made.close()
    raise failure
