"""Owns the files of mutual TLS: who signs, who we are, and our key; and whether they will do.

What gRPC and Triton say of files that will not do names neither a file nor what is wrong with it.
So each side first shakes hands with itself, in memory, by what the other side will ask of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve.errors import ServerError

LOCAL_NAME = "localhost"
"""What a server's certificate also has to name, for clients on its own machine."""
_CERTIFICATE = "CERTIFICATE-----"
_KEY = "PRIVATE KEY-----"
_ROUNDS = 4
_OUT_OF_TIME = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
"""More than a handshake has messages from one side."""


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
            ServerError: If one cannot be read, holds something else, is no use today or does not
                go with the others; naming it.
        """
        authority = _read_pem(self.authority, _CERTIFICATE)
        certificate = _read_pem(self.certificate, _CERTIFICATE)
        key = _read_pem(self.key, _KEY)
        if b"ENCRYPTED" in key:
            raise ServerError(
                f"{self.key}: expected a key without a password, got one with; "
                f"openssl pkey -in {self.key} takes it off"
            )
        _context(self, ssl.PROTOCOL_TLS_SERVER, trusted=self.authority)
        self._rehearse(self.certificate, name=None)
        return authority, certificate, key

    def digest(self) -> str:
        """Return a hash of what the files hold just now; empty where one cannot be read."""
        try:
            contents = [Path(name).read_bytes() for name in self.names()]
        except OSError:
            return ""
        return hashlib.sha256(b"\0".join(contents)).hexdigest()

    def check_server(self) -> None:
        """Check that a server with these files can be watched from its own machine.

        Raises:
            ServerError: As `read`, or if the authority did not sign the certificate, or it does
                not name `LOCAL_NAME` or is not good for a server and a client.
        """
        self.read()
        self._rehearse(self.authority, name=LOCAL_NAME)

    def _rehearse(self, trusted: Path, *, name: str | None) -> None:
        """Shake hands with oneself.

        Args:
            trusted: Certificates that the certificate has to be one of, or signed by.
            name: Which name it needs as a server's; None checks it as a client's only.
        """
        server = _context(self, ssl.PROTOCOL_TLS_SERVER, trusted=trusted)
        server.verify_mode = ssl.CERT_REQUIRED
        client = _context(self, ssl.PROTOCOL_TLS_CLIENT, trusted=trusted)
        if name is None:
            client.check_hostname = False
            client.verify_mode = ssl.CERT_NONE
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = (
            client.wrap_bio(to_client, to_server, server_hostname=name),
            server.wrap_bio(to_server, to_client, server_side=True),
        )
        try:
            for side in sides * _ROUNDS:
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        except ssl.SSLCertVerificationError as error:
            expected = f"a certificate for {name} by {trusted}" if name else "a valid certificate"
            remedy = "have one issued that is"
            if error.verify_code in _OUT_OF_TIME:
                remedy += f", if this machine's clock is right: {datetime.now(UTC):%Y-%m-%d %H:%M}"
            raise ServerError(
                f"{self.certificate}: expected {expected}, got: {error.verify_message}; {remedy}"
            ) from error
        except ssl.SSLError as error:
            raise ServerError(
                f"{self.certificate}: expected one that TLS takes with its key, got: "
                f"{error.reason or error}; make an RSA key of 2048 bits or more, or a P-256 one"
            ) from error


def _context(files: TlsFiles, protocol: ssl._SSLMethod, *, trusted: Path) -> ssl.SSLContext:
    """Return what one side of a handshake goes by, as strict as gRPC and no stricter."""
    context = ssl.SSLContext(protocol)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if protocol is ssl.PROTOCOL_TLS_CLIENT:
        context.hostname_checks_common_name = True
    try:
        context.load_verify_locations(trusted)
    except OSError as error:  # of which SSLError is one
        got = "a damaged one" if isinstance(error, ssl.SSLError) else str(error.strerror)
        raise ServerError(
            f"{trusted}: expected a certificate in PEM, got {got}; write it again"
        ) from error
    try:
        context.load_cert_chain(files.certificate, files.key, password="")
    except OSError as error:
        damaged = "another or a damaged one"
        got = damaged if isinstance(error, ssl.SSLError) else str(error.strerror)
        raise ServerError(
            f"{files.key}: expected the key of {files.certificate}, got {got}; "
            "give the two that were made together"
        ) from error
    return context


def _read_pem(path: Path, kind: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ServerError(f"{path}: expected a readable file, got {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ServerError(f"{path}: expected PEM, got none; convert it with openssl")
    if kind.encode() not in content:
        raise ServerError(
            f"{path}: expected PEM with {kind.strip('-')}, got something else; "
            "see which file is for which flag"
        )
    return content
