"""Owns the files of mutual TLS: who signs, who we are, and our key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.errors import ServerError

LOCAL_NAME = "localhost"
"""What a server's certificate also has to name, for clients on its own machine."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one side. Both sides show a certificate, and both check the other's.

    Attributes:
        authority: Certificate of who signs the other side's.
        certificate: One's own certificate, with the chain up to the authority.
        key: Its private key.
    """

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def from_names(cls, names: Sequence[str]) -> TlsFiles | None:
        """Return the files that `names` told; None if there were none."""
        return cls(*map(Path, names)) if names else None

    def names(self) -> tuple[str, ...]:
        """Return the files' names, for a note: authority, certificate, key."""
        return tuple(str(path.absolute()) for path in (self.authority, self.certificate, self.key))

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Return authority, certificate and key, in PEM.

        Raises:
            ServerError: If one cannot be read or holds no PEM; naming it.
        """
        return tuple(map(_read_pem, (self.authority, self.certificate, self.key)))  # type: ignore[return-value]


def _read_pem(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ServerError(f"{path}: expected a readable file, got {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ServerError(f"{path}: expected PEM, got none; convert it with openssl")
    return content
