"""One HTTP client for the picture servers that a user runs: A1111's web UI, ComfyUI.

Pictures of a head are sent, so: http and https only, an address on this machine unless leave is
given, no redirects, no password in the address; every answer has a time limit and a size limit.
Only the standard library is used.
"""

from __future__ import annotations

import base64
import contextlib
import html
import http.client
import json
import os
import re
import secrets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from ...errors import IdfError
from ...runtime import dial
from ...runtime.safe_json import parse
from ..config import ServerConfig

QUICK_S = 20.0  # for an answer that takes no computing: lists, uploads, the state of the work
MAX_BYTES = 256 * 2**20  # of one answer
BLOCK = 1 << 16
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9._~/+@:,;=%-]*", re.ASCII)
AUTH = "IDF_SERVER_AUTH"  # environment variable: user:password


class Server:
    """Requests to one base address.

    default: the address where the settings name none. program: its name for messages. start: how
    to start it, for the message where nothing answers.

    Every method raises IdfError: not running, no answer in time, refused, an error that the server
    reports, an answer that is not what was asked for.
    """

    def __init__(self, default: str, program: str, start: str,
                 config: ServerConfig = ServerConfig()):  # noqa: B008
        self.url, local = check_url(config.server or default, program, config.allow_remote)
        self.program, self.start, self.timeout_s = program, start, config.timeout_s
        self._headers = {"User-Agent": "idf_helpers"}
        auth = os.environ.get(AUTH, "")
        if auth and ":" not in auth:
            raise IdfError(f"{AUTH} is not of the form user:password", "no colon in it",
                           f"export {AUTH}=user:password")
        if auth:
            self._headers["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
        handlers: list = [_NoRedirect, *dial.handlers(_only_local if local else _no_link_local)]
        if local:  # a proxy has no business between two programs on this machine
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, query: dict | None = None, lacking: str = "") -> bytes:
        """Return the bytes at `path`. lacking: what a 404 means here and what to do."""
        query = f"?{urlencode(query)}" if query else ""
        return self._request(path + query, None, {}, QUICK_S, lacking)

    def get_json(self, path: str, query: dict | None = None, lacking: str = ""):
        return self._parsed(self.get(path, query, lacking), path)

    def post_json(self, path: str, value, quick: bool = True, lacking: str = ""):
        """Return the parsed answer to a JSON object; None where it is empty. quick: the answer
        needs no computing."""
        data = self._request(path, json.dumps(value).encode(), {"Content-Type": "application/json"},
                         QUICK_S if quick else self.timeout_s, lacking)
        return self._parsed(data, path) if data.strip() else None

    def upload(self, path: str, name: str, data: bytes, fields: dict[str, str]):
        """Return the parsed answer to a form with a PNG as its field `image` and further fields."""
        boundary = secrets.token_hex(16)
        parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
                 .encode() for key, value in fields.items()]
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="image"; '
                     f'filename="{name}"\r\nContent-Type: image/png\r\n\r\n'.encode()
                     + data + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        return self._parsed(self._request(
            path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}, QUICK_S, ""),
            path)

    def post_watched(self, path: str, value, watch: Callable[[], None],
                     interrupt: Callable[[], None], every_s: float = 0.5):
        """Do `post_json` of long work, `watch` called meanwhile; errors of `watch` are its own.

        Ctrl-C and the time limit call `interrupt`, so that the server does not go on with work
        that no one waits for.
        """
        result: dict = {}

        def work():
            try:
                result["answer"] = self.post_json(path, value, quick=False)
            except BaseException as error:
                result["error"] = error

        worker = threading.Thread(target=work, daemon=True)  # does not hold up the end of Python
        worker.start()
        try:
            while True:
                worker.join(every_s)
                if not worker.is_alive():
                    break
                with contextlib.suppress(IdfError):  # the work itself reports what is wrong
                    watch()
        except BaseException:
            self.quietly(interrupt)
            raise
        if isinstance(result.get("error"), TimedOut):
            self.quietly(interrupt)
        if "error" in result:
            raise result["error"]
        return result["answer"]

    @staticmethod
    def quietly(action: Callable[[], None]) -> None:
        """Do it where it can be done; for cleaning up behind another error."""
        with contextlib.suppress(IdfError):
            action()

    # ---- one request

    def _request(self, path: str, data: bytes | None, headers: dict, timeout: float,
             lacking: str) -> bytes:
        request = urllib.request.Request(self.url + path, data=data,
                                         headers={**self._headers, **headers})
        with dial.Deadline(timeout) as deadline:
            request.deadline = deadline  # type: ignore[attr-defined]
            try:
                return self._answer(request, path, timeout, lacking)
            except IdfError:
                if deadline.passed:  # what was cut off may look like anything
                    raise self._late(path, timeout) from None
                raise

    def _answer(self, request, path: str, timeout: float, lacking: str) -> bytes:
        try:
            with self._opener.open(request, timeout=timeout) as reply:
                data = self._read(reply, path)
            if request.deadline.passed:
                raise TimeoutError
            return data
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error, path, lacking) from None
        except TimeoutError:
            raise self._late(path, timeout) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise self._late(path, timeout) from None
            if isinstance(reason, dial.Refused):
                raise IdfError(f"Nothing is sent to {self.url}", str(reason),
                               "give the address of a picture server by number") from None
            raise IdfError(f"{self.program} does not answer at {self.url}",
                           str(reason)[:200] or type(reason).__name__, self.start) from None

    def _read(self, reply, path: str) -> bytes:
        blocks, size = [], 0
        while block := reply.read1(BLOCK):
            size += len(block)
            if size > MAX_BYTES:
                raise IdfError(f"The answer of {self.program} is too large",
                               f"more than {MAX_BYTES / 1e6:.0f} MB from {path}",
                               "check what runs at that address")
            blocks.append(block)
        return b"".join(blocks)

    def _late(self, path: str, timeout: float) -> TimedOut:
        return TimedOut(f"{self.program} at {self.url} did not answer in time",
                        f"nothing within {timeout:g} s for {path.split('?')[0]}",
                        "look at its own window; a slow machine needs a longer --timeout-s, or "
                        "fewer steps")

    def _refused(self, error: urllib.error.HTTPError, path: str, lacking: str) -> IdfError:
        body = b""
        with contextlib.suppress(OSError, http.client.HTTPException):
            body = error.read(BLOCK)
        path = path.split("?")[0]
        found = f"{error.code} {error.reason}: {_words(body)}".rstrip(": ")
        if error.code in (401, 403):
            return IdfError(f"{self.program} at {self.url} wants another user or password"
                            if "Authorization" in self._headers else
                            f"{self.program} at {self.url} wants a user and a password", found,
                            f"export {AUTH}=user:password, as the server was started with")
        if 300 <= error.code < 400:
            return IdfError(f"{self.program} at {self.url} redirects elsewhere", found,
                            "give the address it really runs at")
        if error.code == 404 and lacking:
            return IdfError(f"{self.program} at {self.url} has no {path}", found, lacking)
        if error.code in (400, 404, 405, 422):
            return IdfError(f"{self.program} refused the request {path}", found,
                            "see the server's own window; it may be another version, or lack an "
                            "extension")
        return IdfError(f"{self.program} failed at {path}", found,
                        "see the server's own window; if memory ran out, use a smaller --size")

    def _parsed(self, data: bytes, path: str):
        try:
            return parse(data, "The answer")
        except IdfError as error:
            raise IdfError(f"The answer of {self.url}{path} is not JSON that can be used",
                           f"{error.found}: {data[:60].decode(errors='replace')!r}",
                           f"check that {self.program} runs at that address") from None


class TimedOut(IdfError):
    """No answer within the time limit."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None  # becomes an HTTPError


def check_url(url: str, program: str, allow_remote: bool) -> tuple[str, bool]:
    """Return (the address without a slash at its end, whether it is on this machine), or IdfError.
    """
    do = "e.g. --server http://127.0.0.1:7860"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise IdfError(f"This is not a server address: {url}", str(error), do) from None
    if parts.scheme not in ("http", "https") or not host:
        raise IdfError(f"{program} is reached over http or https only", repr(url), do)
    if parts.username or parts.password:
        raise IdfError("A password does not belong in an address", f"one for {host}",
                       f"export {AUTH}=user:password and leave it out of --server")
    if parts.query or parts.fragment:
        raise IdfError("The address of a server ends with its path", url, do)
    # urllib decodes %2e in a host: what is checked here would not be what is connected to
    if not _PLACE.fullmatch(parts.netloc) or not _PATH.fullmatch(parts.path):
        raise IdfError(f"This is not a server address: {url!r}",
                       "signs that have no place in a host, a port or a path", do)
    local = is_local(host)
    if not local and not allow_remote:
        raise IdfError(f"{host} is not this machine, and pictures would be sent to it", url,
                       "add --allow-remote if that is what you want")
    if _is_link_local(host):  # where clouds keep their machines' passwords
        raise IdfError("No picture server runs at a link-local address", url, do)
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/"), local


def is_local(host: str) -> bool:
    """Return whether a host name or address means this machine, without asking the network."""
    with contextlib.suppress(ValueError):
        return dial.meant(host).is_loopback
    return host.lower().rstrip(".") == "localhost"


def _is_link_local(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return dial.meant(host).is_link_local
    return False


def _only_local(request, address) -> str:
    return "" if address.is_loopback else "not this machine"


def _no_link_local(request, address) -> str:
    return "no picture server runs there" if address.is_link_local or address.is_multicast \
        or address.is_unspecified else ""


def _words(body: bytes) -> str:
    """Return what an error page or object says, in one line: FastAPI's `detail`, A1111's
    `errors`, ComfyUI's `error.message`, or the text of a page."""
    text = body.decode(errors="replace")
    try:
        value = parse(text, "it")
    except IdfError:
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())[:300]
    found: list[str] = []

    def collect(part):
        if isinstance(part, dict) and isinstance(part.get("loc"), list) and "msg" in part:
            found.append(f"{'.'.join(map(str, part['loc']))}: {part['msg']}")
        elif isinstance(part, dict):
            for key in ("detail", "errors", "error", "message", "details"):
                collect(part.get(key))
        elif isinstance(part, list):
            for item in part[:5]:
                collect(item)
        elif isinstance(part, str) and part.strip() and part.strip() not in found:
            found.append(part.strip())

    collect(value)
    return "; ".join(found)[:500]
