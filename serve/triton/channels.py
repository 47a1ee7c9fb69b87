"""Owns the connections to a Triton: gRPC's options, and TLS where there are files for it."""

from __future__ import annotations

from typing import Any

import grpc

from serve.descriptors import NUM_CHANNEL, check_descriptors
from serve.triton.forking import check_process
from serve.triton.tls import LOCAL_NAME, TlsFiles

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Five times what 20,000 entities take; a broken server must not fill our memory."""
OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # A server that was restarted is found again within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Also the time-out of connecting, which gRPC gives 20 s: as long as a dead network lasts.
    ("grpc.min_reconnect_backoff_ms", 1000),
    # Where it was restarted elsewhere, its name is looked up again as soon, not once in 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # With keepalive on, Linux drops a connection that acknowledges nothing for 2 s, and a new one
    # is made when the network is back. The pings themselves come as seldom as any server allows.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    # gRPC would send even loopback through http_proxy; the server is on the plant's own network.
    ("grpc.enable_http_proxy", 0),
    # Who asks again, and when, the client's policy decides; gRPC's own way of it costs each call.
    ("grpc.enable_retries", 0),
    # A channel of its own state: another client's dead connection is none of ours.
    ("grpc.use_local_subchannel_pool", 1),
]
_SERVICE = "/inference.GRPCInferenceService"


def open_channel(
    url: str,
    tls: TlsFiles | None,
    *,
    package: Any = grpc,  # noqa: ANN401
    is_local: bool = False,
) -> Any:  # noqa: ANN401
    """Return a channel; the connection is made with the first call.

    Args:
        url: `host:port`.
        tls: Files of mutual TLS; None for plain text.
        package: `grpc`, or `grpc.aio` for channels of asyncio.
        is_local: Whether the server runs on this machine, and its certificate names `LOCAL_NAME`
            beside the names that clients use.

    Raises:
        ServerError: If a file of TLS cannot be read, or this process may open hardly any more
            files: gRPC would end it; or was forked where gRPC does not survive that.
    """
    check_process()
    check_descriptors(NUM_CHANNEL)
    url = f"dns:///{url}"  # or a host called unix or xds is a scheme to gRPC
    if tls is None:
        return package.insecure_channel(url, options=OPTIONS)
    authority, certificate, key = tls.read()
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    name = [("grpc.ssl_target_name_override", LOCAL_NAME)] if is_local else []
    return package.secure_channel(url, credentials, options=[*OPTIONS, *name])


def method(channel: Any, name: str, response: Any) -> Any:  # noqa: ANN401  grpc has no types
    """Return a method of Triton's service on a channel; it takes a message, or its bytes."""
    return channel.unary_unary(
        f"{_SERVICE}/{name}",
        request_serializer=_serialized,
        response_deserializer=response.FromString,
    )


def raw_method(channel: Any, name: str) -> Any:  # noqa: ANN401
    """Return the same, from bytes to bytes.

    gRPC takes whatever is raised as it parses, be it by a signal, for a fault of the message.
    """
    return channel.unary_unary(f"{_SERVICE}/{name}")


def _serialized(message: Any) -> bytes:  # noqa: ANN401
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
