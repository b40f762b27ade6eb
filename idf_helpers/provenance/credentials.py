"""Signed credentials (C2PA) in exported files, or beside them, and their verification.

By `c2pa-python`, the Content Authenticity Initiative's own implementation, without network: no
time-stamp authority is asked unless one is named, no revocation list, no remote manifest. A
manifest says what was done (`c2pa.created`, or `c2pa.opened` and `c2pa.edited`), the digital source
type, our own line, the digest of the consent, and of which inputs, by their hashes and not by their
content, without thumbnails.

PNG, JPEG, WebP, GIF and MP4 hold it themselves. So does an HTML page, as a `script` of the type
application/c2pa in its head, which the data hash leaves out (C2PA specification 2.4, A.7,
https://spec.c2pa.org/specifications/specifications/2.4/specs/C2PA_Specification.html). Models get
a `<name>.c2pa` beside them (11.4, external manifests).
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import IdfError
from ..runtime.files import atomic_write
from . import keys
from .inside import SCRIPT, SCRIPT_END, script_of
from .jumbf import is_as_written
from .mark_line import IPTC, Mark

BESIDE = ".c2pa"
GENERATOR = "ImplicitDeepfake idf_helpers"
MAX_HEAD = 16 * 2**20  # the manifest stands in the first part of every format
LABEL = "io.github.implicit-deepfake.mark"
FORMATS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
           ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4", ".m4v": "video/mp4",
           ".mov": "video/quicktime", ".avif": "image/avif", ".heic": "image/heic",
           ".tif": "image/tiff", ".tiff": "image/tiff"}
WRITTEN = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4")
BYTES = "application/octet-stream"
END = b"-----END CERTIFICATE-----"
MAX_MANIFEST = 8 * 2**20


@dataclass(frozen=True)
class Credential:
    """What signed credentials say.

    state: "own" (valid, signed by this installation or the certificate that IDF_C2PA_CERT names),
    "valid" (by somebody whom nothing here vouches for), "invalid". signer: the certificate's
    names. text: our line, "" where there is none. source_types: IPTC names. actions, ingredients:
    in words. failures: what does not hold.
    """

    state: str
    signer: str = ""
    text: str = ""
    source_types: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    ingredients: tuple[str, ...] = ()
    failures: tuple[str, ...] = field(default=())


def sign(path: Path, content: Path, what: Mark) -> bytes:
    """Sign a finished file, as the last step of its export.

    path: its name at the end. content: where it is now; the manifest goes into it where the format
    has a place. Returns what is to lie beside it, b"" for formats that hold it themselves.
    """
    suffix = path.suffix.lower()
    if suffix == ".html":
        page = content.read_bytes()
        with atomic_write(content) as temporary:
            temporary.write_bytes(_signed_page(page, path, what))
        return b""
    with open(content, "rb") as source:
        if suffix not in WRITTEN:
            # hashed here, since the library would read a large model into memory three times
            hashed = _data_hash(hashlib.file_digest(source, "sha256"))
            return _signed_apart(path, what, BYTES, b"", hashed)
        more = {"ftyp": _brands(source.read(4096))} if suffix == ".mp4" else {}
        source.seek(0)
        with atomic_write(content) as temporary, open(temporary, "w+b") as target:
            _signed(_builder(path, what, FORMATS[suffix], **more), FORMATS[suffix], source, target,
                    path)
    return b""


def folder_beside(folder: Path) -> Path:
    """Return where the credentials of a folder's files lie that may hold nothing but these."""
    return folder.with_name(folder.name + BESIDE)


def read(path: Path) -> Credential | None:
    """Return the credentials in a file or beside it, None where there are none."""
    import c2pa

    suffix, beside = path.suffix.lower(), path.with_name(path.name + BESIDE)
    if not os.path.isfile(beside):  # of a folder in which players take nothing else
        beside = folder_beside(path.absolute().parent) / (path.name + BESIDE)
    try:
        with open(path, "rb") as f:
            if suffix == ".html" and SCRIPT in f.read(MAX_HEAD) and (
                    found := script_of(page := _whole(f))):
                f.seek(0)
                text = page[found[0] + len(SCRIPT):found[1] - len(SCRIPT_END)]
                manifest = base64.b64decode(text, validate=True)
                if base64.b64encode(manifest) != text:  # bits that Base64 leaves over
                    return Credential("invalid", failures=("the manifest is not in plain Base64",))
                reader = c2pa.Reader("text/html", f, manifest, context=_context())
                return _told(reader, manifest, "", _is_bound(reader, page, *found))
            if os.path.isfile(beside):  # False too where its name would be too long
                if beside.stat().st_size > MAX_MANIFEST:
                    return Credential("invalid", failures=("the file beside it is too large",))
                manifest = beside.read_bytes()
                return _told(c2pa.Reader(BYTES, f, manifest, context=_context()), manifest, "")
            if suffix not in FORMATS or not _names_c2pa(f):
                return None
            f.seek(0)
            reader = c2pa.Reader(FORMATS[suffix], f, context=_context())
            f.seek(0)
            return _told(reader, f.read(MAX_HEAD), suffix)
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError as error:
        words = str(error)
        if "ManifestNotFound" in words or "no JUMBF" in words:
            return None
        return Credential("invalid", failures=(words[:160],))
    except (binascii.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
        return Credential("invalid", failures=(str(error)[:160],))


def _whole(f: BinaryIO) -> bytes:
    f.seek(0)
    return f.read()


def _names_c2pa(f: BinaryIO) -> bool:
    """Return whether credentials can be in an open file: the library, which reads all of it, takes
    minutes and gigabytes for a large one of another content."""
    size = f.seek(0, 2)
    for at in {0, max(0, size - MAX_HEAD)}:
        f.seek(at)
        if b"c2pa" in f.read(MAX_HEAD):
            return True
    return False


# --- writing --------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=4)
def _tools(chain: bytes, key: bytes, authority: str, process: int):
    import c2pa

    info = c2pa.C2paSignerInfo(keys.algorithm_of(key), chain, key, authority or None)
    try:
        return c2pa.Signer.from_info(info)
    except c2pa.C2paError as error:
        raise IdfError("The certificate cannot sign content credentials", str(error)[:160],
                       "use one with the key usage digitalSignature and the extended key usage "
                       "emailProtection, or unset IDF_C2PA_CERT and IDF_C2PA_KEY") from None


def _context():
    return _settings(keys.known_chain(), os.getpid())  # a fork cannot use its parent's


@functools.lru_cache(maxsize=4)
def _settings(chain: bytes, process: int):
    import c2pa

    return c2pa.Context.from_dict({
        "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False,
                   "verify_after_sign": False},
        "builder": {"thumbnail": {"enabled": False}},
        **({"trust": {"trust_anchors": chain.decode("ascii", "replace")}} if chain else {})})


def _builder(path: Path, what: Mark, kind: str, assertions: tuple[dict, ...] = (), **more: str):
    import c2pa

    return c2pa.Builder(_definition(path, what, kind, assertions, more), _context())


def _brands(start: bytes) -> str:
    """Return the SHA-256 of the first box of an MP4, which the hash of C2PA leaves out."""
    return hashlib.sha256(start[:int.from_bytes(start[:4], "big")]).hexdigest()


def _signed(builder, kind: str, source, target, path: Path) -> bytes:
    import c2pa

    who = keys.signer()
    try:
        # the root of our own stays at home: who has it to trust does not need it in each file
        chain = who.chain.partition(END)[0] + END + b"\n" if who.own else who.chain
        tools = _tools(chain, who.key, who.authority, os.getpid())
        return builder.sign(tools, kind, source, target)
    except c2pa.C2paError as error:
        raise IdfError(f"{path} could not be signed", str(error)[:160],
                       "check the free disk space and, where IDF_C2PA_CERT is set, the "
                       "certificate; then export again") from None


def _signed_apart(path: Path, what: Mark, kind: str, content: bytes, hashed: dict) -> bytes:
    """Return a manifest whose data hash is given."""
    builder = _builder(path, what, kind, (hashed,))
    builder.set_no_embed()
    return _signed(builder, kind, io.BytesIO(content), io.BytesIO(), path)


def _data_hash(digest, **more: Any) -> dict[str, Any]:
    return {"label": "c2pa.hash.data", "data": {
        **more, "name": "document", "alg": "sha256", "hash": list(digest.digest()), "pad": []}}


def _definition(path: Path, what: Mark, kind: str, assertions: tuple[dict, ...],
                more: dict[str, str]) -> dict[str, Any]:
    from .. import __version__

    source_type, edited = f"{IPTC}{what.source_type}", what.made.startswith("face swap")
    parts = [{"title": f"{name}, sha256 {digest}", "format": BYTES,
              "instance_id": f"sha256:{digest}", "label": f"input{i}",
              "relationship": "parentOf" if edited and name == "target" else "inputTo"}
             for i, (name, digest) in enumerate(what.inputs)]
    parent = [p["label"] for p in parts if p["relationship"] == "parentOf"]
    done: dict[str, Any] = {"action": "c2pa.edited" if parent else "c2pa.created",
                            "digitalSourceType": source_type, "description": what.made}
    if others := [p["label"] for p in parts if p["label"] not in parent]:
        done["parameters"] = {"ingredientIds": others}
    begun = [{"action": "c2pa.opened", "parameters": {"ingredientIds": parent}}] if parent else []
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": __version__}],
        "title": path.name, "format": kind, "ingredients": parts, "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [*begun, done]}},
            {"label": LABEL, "data": {"text": what.text(), "run": what.run_id,
                                      "consent": what.consent or "none", **more}}, *assertions]}


def _signed_page(page: bytes, path: Path, what: Mark) -> bytes:
    """Put the manifest into the head, first. Its length follows from a manifest of the same kind:
    numbers of this size have one length, and so have identifiers and signatures."""
    head = page.find(b"<head")
    at = page.find(b">", head) + 1 if head >= 0 else 0
    if not at:
        raise IdfError(f"{path} is not an HTML page", "no head", "export it again")
    digest, length = hashlib.sha256(page), 5000
    for _ in range(3):
        hashed = _data_hash(digest, exclusions=[{"start": at, "length": length}])
        manifest = _signed_apart(path, what, "text/html", page, hashed)
        script = SCRIPT + base64.b64encode(manifest) + SCRIPT_END
        if len(script) == length:
            return page[:at] + script + page[at:]
        length = len(script)
    raise IdfError(f"{path} could not be signed", "its manifest has no settled length",
                   "export it again")


# --- reading --------------------------------------------------------------------------------------

def _is_bound(reader, page: bytes, start: int, end: int) -> bool:
    """Return whether the data hash of a manifest is that of the page without its script. The
    library, which knows no HTML, reports the script as an exclusion without a manifest."""
    store = json.loads(reader.detailed_json())
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    told = active.get("assertion_store", {}).get("c2pa.hash.data", {})
    digest = base64.b64encode(hashlib.sha256(page[:start] + page[end:]).digest()).decode()
    return told.get("exclusions") == [{"start": start, "length": end - start}] \
        and told.get("alg") == "sha256" and told.get("hash") == digest


def _told(reader, raw: bytes, suffix: str, bound: bool = False) -> Credential:
    """Return what a manifest says. raw: what it stands in, a file of that suffix. bound: the data
    hash was found to hold by other means."""
    with reader:
        store = json.loads(reader.json())
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    actions, source_types, text, first = [], [], "", ""
    for assertion in active.get("assertions", []):
        data = assertion.get("data")
        if not isinstance(data, dict):
            continue
        if assertion.get("label", "").startswith("c2pa.actions"):
            for action in data.get("actions", []):
                actions.append(str(action.get("action", "")))
                source_types.append(str(action.get("digitalSourceType", "")).rsplit("/", 1)[-1])
        elif assertion.get("label") == LABEL:
            text = str(data.get("text", ""))
            first = str(data.get("ftyp", ""))
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    passed_over = {"signingCredential.untrusted", *(["assertion.dataHash.mismatch"] * bound)}
    failures = [f"{f.get('code')}: {f.get('explanation', '')}"[:160]
                for f in results.get("failure", []) if f.get("code") not in passed_over]
    held = {s.get("code") for s in results.get("success", [])}
    whole = not failures and "claimSignature.validated" in held and (
        bound or store.get("validation_state") in ("Trusted", "Valid"))
    state = "invalid" if not whole else \
        "own" if "signingCredential.trusted" in held else "valid"
    generators = [str(g.get("name", "")) for g in active.get("claim_generator_info") or []]
    if state != "invalid" and GENERATOR in generators and not (
            is_as_written(raw, suffix) and first in ("", _brands(raw[:4096]))):
        state, failures = "invalid", ["bytes of the manifest are not as this program writes them"]
    info = active.get("signature_info") or {}
    return Credential(
        state, ", ".join(str(info[k]) for k in ("common_name", "issuer") if info.get(k)), text,
        tuple(dict.fromkeys(t for t in source_types if t)), tuple(actions),
        tuple(str(i.get("title", "")) for i in active.get("ingredients", [])), tuple(failures))
