"""The key that signs what leaves the program: the user's own, made at first use, or theirs.

A small certificate authority issues one certificate and is then forgotten, so that its key can sign
nothing else. The certificate keeps to the C2PA profile (C2PA specification 2.4, 14.5: X.509
version 3, key usage digitalSignature, extended key usage emailProtection, no CA); it names the
program, not the user. Validators that do not know it call a signature valid, but its signer
unknown.

IDF_C2PA_CERT and IDF_C2PA_KEY name a certificate chain (PEM, the signer's first) and its private
key (PEM, PKCS #8) to be used in its place; IDF_C2PA_TSA a time-stamp authority, which is asked over
the network only then. IDF_KEYS is another folder for the key that is made.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import IdfError, shorten
from ..runtime.files import readable

CHAIN, KEY, YEARS = "chain.pem", "key.pem", 10


@dataclass(frozen=True)
class Signer:
    """Certificates and private key, both PEM. own: made by this program. authority: URL or ""."""

    chain: bytes
    key: bytes
    own: bool
    authority: str = ""


def folder() -> Path:
    """Return the folder of the key that is made at first use."""
    from platformdirs import user_data_path

    return Path(os.environ.get("IDF_KEYS") or user_data_path("idf_helpers") / "keys")


def signer() -> Signer:
    """Return what signs: the user's own certificate from the environment, else the one made here.

    Where there is no place to keep a key, one is made for this process; what it signs is valid, by
    somebody who is not known afterwards. IdfError: only one of the two variables, a file that
    cannot be read or is damaged, a certificate made here that is not valid by the clock of now.
    """
    named = os.environ.get("IDF_C2PA_CERT", ""), os.environ.get("IDF_C2PA_KEY", "")
    authority = os.environ.get("IDF_C2PA_TSA", "")
    if all(named):
        chain, key = (_read(Path(p)) for p in named)
        _check(chain, key)
        return Signer(chain, key, False, authority)
    if any(named):
        raise IdfError("A certificate and its key come together",
                       "IDF_C2PA_CERT or IDF_C2PA_KEY alone", "set both, or neither")
    place = folder()
    if not os.path.isfile(place / KEY):  # False too in a folder that may not be looked into
        try:
            _make(place)
        except OSError:  # no home, or one that cannot be written: a key for this process
            return Signer(*_passing(), False, authority)
    chain, key = _read(place / CHAIN), _read(place / KEY)
    try:
        _check(chain, key)
    except IdfError as error:
        raise IdfError(f"The signing key in {place} is damaged", error.found,
                       "restore that folder, or delete it: another key is made then") from None
    begin, end = _valid(chain)
    if not begin <= datetime.datetime.now(datetime.UTC) <= end:
        raise IdfError(f"The signing certificate in {place} is not valid now",
                       f"it is from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and the clock says "
                       f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
                       "set the clock; where it was wrong when the key was made, delete that "
                       "folder: another key is made then")
    return Signer(chain, key, True, authority)


@functools.cache
def _valid(chain: bytes) -> tuple[datetime.datetime, datetime.datetime]:
    from cryptography.x509 import load_pem_x509_certificate

    own = load_pem_x509_certificate(chain)
    return own.not_valid_before_utc, own.not_valid_after_utc


@functools.cache
def _check(chain: bytes, key: bytes) -> None:
    """Raise IdfError where a certificate chain or its private key, both PEM, cannot sign."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    algorithm_of(key)
    try:
        fits = load_pem_x509_certificates(chain)[0].public_key() == load_pem_private_key(
            key, None).public_key()
        found = "they are not of one pair"
    except ValueError as error:
        fits, found = False, str(error)[:120]
    if not fits:
        raise IdfError("The certificate is none of the signing key", found,
                       "give the chain as PEM, the signer's own certificate first")


@functools.cache
def _passing() -> tuple[bytes, bytes]:
    return _chain()


def known_chain() -> bytes:
    """Return the certificates of what signs here, PEM; b"" where there is no key yet, or where it
    is damaged, which signing tells: files can still be verified."""
    if os.environ.get("IDF_C2PA_CERT"):
        return signer().chain
    try:
        return signer().chain if os.path.isfile(folder() / KEY) else b""
    except IdfError:
        return b""


def _read(path: Path) -> bytes:
    with readable(path, "signing key or certificate"):
        return path.read_bytes()


def _make(place: Path) -> None:
    """Write chain and key into a folder that appears whole; another process may be faster.
    OSError: there is no place for it. IdfError: the folder is there and holds other files."""
    if place.parts[:1] == ("~",):  # as it stays in a container whose user has no home
        raise FileNotFoundError(str(place))
    chain, key = _chain()
    part = place.with_name(f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True, mode=0o700)
        for name, data in ((CHAIN, chain), (KEY, key)):
            with open(os.open(part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600),
                      "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
        with contextlib.suppress(OSError):
            place.rmdir()  # an empty one would stop Windows from renaming
        try:
            part.rename(place)
        except OSError:
            if place.is_dir() and not (place / KEY).is_file():
                raise IdfError(f"The folder {place} is not one of a signing key",
                               f"{shorten(p.name for p in place.iterdir())}, no {KEY}",
                               "name a new folder in IDF_KEYS, or restore that file") from None
            if not place.is_dir():
                raise
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)


def _chain() -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ImplicitDeepfake"),
                          x509.NameAttribute(NameOID.COMMON_NAME, common)])

    def usage(**on: bool) -> x509.KeyUsage:
        every = ("digital_signature", "content_commitment", "key_encipherment",
                 "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
                 "encipher_only", "decipher_only")
        return x509.KeyUsage(**{use: on.get(use, False) for use in every})

    number = secrets.token_hex(4)
    above, issuer = ec.generate_private_key(ec.SECP256R1()), name(f"installation {number}")
    key, subject = ec.generate_private_key(ec.SECP256R1()), name(f"idf_helpers {number}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(above.public_key())
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)  # clocks differ
    end = begin + datetime.timedelta(days=365 * YEARS)

    def certificate(of, whose: x509.Name) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer, whose, of.public_key(), x509.random_serial_number(), begin, end)

    root = certificate(above, issuer) \
        .add_extension(x509.BasicConstraints(True, 0), True) \
        .add_extension(usage(key_cert_sign=True, crl_sign=True), True) \
        .add_extension(identifier, False).sign(above, hashes.SHA256())
    leaf = certificate(key, subject) \
        .add_extension(x509.BasicConstraints(False, None), True) \
        .add_extension(usage(digital_signature=True), True) \
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False) \
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False) \
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
                       False).sign(above, hashes.SHA256())
    return b"".join(c.public_bytes(Encoding.PEM) for c in (leaf, root)), \
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@functools.cache
def algorithm_of(key: bytes) -> str:
    """Return the name that C2PA has for the algorithm of a private key. IdfError: unfit keys."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        loaded = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise IdfError("The signing key cannot be read", str(error)[:120],
                       "give an unencrypted private key as PEM (PKCS #8)") from None
    if isinstance(loaded, ec.EllipticCurvePrivateKey):
        name = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}.get(
            loaded.curve.name, "")
    else:
        name = "ed25519" if isinstance(loaded, ed25519.Ed25519PrivateKey) else \
            "ps256" if isinstance(loaded, rsa.RSAPrivateKey) else ""
    if not name:
        raise IdfError("C2PA knows no signature of that kind of key", type(loaded).__name__,
                       "use a key on P-256, P-384 or P-521, Ed25519 or RSA")
    return name


def sign_bytes(data: bytes) -> tuple[bytes, bytes]:
    """Return a signature of `data` (ECDSA with SHA-256, Ed25519, or RSA-PSS) and the signer's
    certificate, PEM."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    who = signer()
    key = load_pem_private_key(who.key, None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(data)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(data, ec.ECDSA(hashes.SHA256()))
    else:
        signature = key.sign(data, padding.PSS(  # type: ignore[union-attr, call-arg]
            padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256())
    from cryptography.hazmat.primitives.serialization import Encoding

    return signature, load_pem_x509_certificate(who.chain).public_bytes(Encoding.PEM)


def is_signed(data: bytes, signature: bytes, certificate: bytes) -> bool:
    """Return whether the owner of a certificate (PEM) signed `data`."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.x509 import load_pem_x509_certificate

    try:
        key = load_pem_x509_certificate(certificate).public_key()
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PSS(padding.MGF1(hashes.SHA256()),
                                                    padding.PSS.DIGEST_LENGTH), hashes.SHA256())
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
