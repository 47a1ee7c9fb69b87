"""Owns the signer's side of signatures: key pairs on disk, and the signature beside a manifest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serve.artefacts.parts import MAX_JSON_BYTES, read_plain
from serve.artefacts.signature import SIGNATURE, needing_cryptography, read_key
from serve.bundle import MANIFEST
from serve.errors import BundleError
from serve.files import locked, remains, sync, write_durably

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_SUFFIX = ".pub"
PRIVATE_MODE = 0o600


def write_key_pair(path: Path) -> Path:
    """Write a new private key, and the public one beside it; return the public one's path.

    Raises:
        BundleError: If either file is there already, or `cryptography` is not installed.
    """
    with needing_cryptography(path):
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    public = path.with_name(path.name + PUBLIC_SUFFIX)
    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    )
    public_pem = key.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    with ExitStack() as undo:  # both or neither
        _write_new(path, private_pem, PRIVATE_MODE, undo)
        _write_new(public, public_pem, 0o644, undo)
        sync(path.parent)
        undo.pop_all()
    return public


def sign(folder: Path, manifest: bytes, key: Ed25519PrivateKey) -> Path:
    """Write the signature of a bundle's manifest beside it; return its path.

    Raises:
        BundleError: If the manifest on disk is another one.
    """
    if read_plain(folder / MANIFEST, max_bytes=MAX_JSON_BYTES) != manifest:
        raise BundleError(f"{folder / MANIFEST}: expected it to stay as it was; sign again")
    write_durably(folder / SIGNATURE, key.sign(manifest))
    return folder / SIGNATURE


@contextmanager
def signing(folder: Path) -> Iterator[None]:
    """Keep other signers out of a bundle, and take away what a killed one left in the making."""
    with locked(folder):
        for left in remains(folder / SIGNATURE):
            left.unlink()
        yield


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 private key in a PEM file without passphrase.

    Raises:
        BundleError: If others may read the file, it holds no such key, or `cryptography` is not
            installed.
    """
    with needing_cryptography(path):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    content = read_key(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise BundleError(
            f"{path}: expected a private key that only its owner can read, got mode {mode:04o}; "
            f"chmod 600 {path}, and make a new pair if others saw it"
        )
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it wants a password
        raise _no_private_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_private_key(path)
    return key


def _write_new(path: Path, content: bytes, mode: int, undo: ExitStack) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise BundleError(
            f"{path}: expected no file, got one; a key is never overwritten, name another file"
        ) from error
    undo.callback(path.unlink)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _no_private_key(path: Path) -> BundleError:
    return BundleError(
        f"{path}: expected an Ed25519 private key in PEM without passphrase, got something else; "
        "make one with python -m export keygen FILE"
    )
