"""Owns gRPC channels to a Triton: their options, and TLS where the server asks for it.

A folder holds what mutual TLS needs, in PEM, by these names. A client needs the first three, a
server all five; `ca.crt` signed both certificates.

    ca.crt  client.crt  client.key  server.crt  server.key

Checks from the server's own machine go to its loopback address, so server.crt must name
`localhost` beside the names that clients use.
"""

from __future__ import annotations

from pathlib import Path

import grpc

from serve.errors import ServerError

AUTHORITY, CLIENT, CLIENT_KEY = "ca.crt", "client.crt", "client.key"
SERVER, SERVER_KEY = "server.crt", "server.key"
LOCAL_NAME = "localhost"
OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A server that was restarted is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # gRPC would send even loopback through http_proxy; the server is on the plant's own network.
    ("grpc.enable_http_proxy", 0),
]


def open_channel(url: str, tls: Path | None = None, *, is_local: bool = False) -> grpc.Channel:
    """Return a channel; the connection is made with the first call.

    Args:
        url: Address of the server's gRPC, `host:port`.
        tls: Folder with the client's part of mutual TLS; None for none.
        is_local: Whether to expect the name `localhost` in the server's certificate.

    Raises:
        ServerError: If a file of `tls` cannot be read.
    """
    if tls is None:
        return grpc.insecure_channel(url, options=OPTIONS)
    certificates = [read_pem(tls / name) for name in (AUTHORITY, CLIENT_KEY, CLIENT)]
    name = [("grpc.ssl_target_name_override", LOCAL_NAME)] if is_local else []
    return grpc.secure_channel(
        url, grpc.ssl_channel_credentials(*certificates), options=[*OPTIONS, *name]
    )


def read_pem(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        ServerError: If it cannot be read, or is not PEM.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ServerError(
            f"{path}: expected a readable file in PEM, got {error.strerror}; mutual TLS needs "
            f"{AUTHORITY}, a certificate and its key"
        ) from error
    if b"-----BEGIN " not in content:
        raise ServerError(f"{path}: expected PEM, got {content[:20]!r}; convert it with openssl")
    return content
