"""Owns the signature of a bundle: Ed25519 over the bytes of its manifest, in a file beside it.

The manifest holds the SHA-256 of every other file, so one signature covers them all. The file holds
the 64 bytes of RFC 8032 and nothing else; the key is PEM, so OpenSSL 3 can check it too:

    openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in manifest.json -sigfile manifest.sig

The package `cryptography` is needed only where a key is given. Who may write a model repository may
also replace its code: a signature tells of what was changed on the way there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from serve.artefacts.parts import read_plain
from serve.errors import BundleError, needing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE = "manifest.sig"
SIZE_BYTES = 64
MAX_KEY_BYTES = 4096  # an Ed25519 key in PEM has about 110
REMEDY = "sign it with python -m export sign, or name the key of whoever signed it"


def check_signature(path: Path, manifest: bytes, public_key: Path) -> None:
    """Check a manifest's signature.

    Args:
        path: File of the signature.
        manifest: What was signed.
        public_key: File of the signer's public key, PEM.

    Raises:
        BundleError: If there is no signature, it is not of that key over those bytes, the key
            cannot be read, or `cryptography` is not installed.
    """
    key = read_public_key(public_key)
    from cryptography.exceptions import InvalidSignature  # there, or the key had not been read

    try:
        signature = read_plain(path, max_bytes=SIZE_BYTES)
    except OSError as error:
        raise BundleError(
            f"{path}: expected a signature by {public_key}, got {error.strerror}; {REMEDY}"
        ) from error
    try:
        key.verify(signature, manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"{path}: expected a signature of the manifest by {public_key}, got one of another "
            f"manifest or key; {REMEDY}"
        ) from error


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return the Ed25519 public key in a PEM file.

    Raises:
        BundleError: If it cannot be read as one, or `cryptography` is not installed.
    """
    with needing_cryptography(path):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(read_key(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(path, "PEM that holds no public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(path, f"one of the kind {type(key).__name__}")
    return key


def read_key(path: Path) -> bytes:
    """Return a key file's content.

    Raises:
        BundleError: If it cannot be read, or is too long to be a key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise _no_key(path, str(error.strerror)) from error
    if len(content) > MAX_KEY_BYTES:
        raise _no_key(path, f"more than {MAX_KEY_BYTES} bytes")
    return content


def needing_cryptography(path: Path) -> AbstractContextManager[None]:
    """Tell in words of imports that fail in the block, for want of the extra `sign`."""
    return needing("the package cryptography to use this key", "sign", BundleError, at=path)


def _no_key(path: Path, got: str) -> BundleError:
    return BundleError(
        f"{path}: expected an Ed25519 key in PEM, got {got}; "
        "make a pair with python -m export keygen FILE"
    )
