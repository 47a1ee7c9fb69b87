"""Owns where a server listens and who can reach it: ports, addresses, mutual TLS."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, replace

from serve.errors import ServerError
from serve.triton.tls import TlsFiles

HOST = "127.0.0.1"
_ANYWHERE = ("0.0.0.0", "[::]")
_FOREIGN = (errno.EADDRNOTAVAIL, errno.EINVAL)  # the latter: a link's own IPv6 without the link


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens; None for a protocol that is off."""

    grpc: int
    http: int | None
    metrics: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who can reach a server's gRPC. HTTP and metrics, which have no TLS, stay on loopback.

    Attributes:
        host: Address to listen on, see `listen_address`.
        tls: The server's files of mutual TLS; None for plain text. Checks from this machine show
            the same certificate, so it must name `localhost` too, and its authority is the one
            that clients' certificates are checked by.
    """

    host: str = HOST
    tls: TlsFiles | None = None

    @property
    def local_host(self) -> str:
        """The address to reach it at from this machine."""
        return HOST if self.host in _ANYWHERE else self.host


LOOPBACK = Exposure()


def listen_address(text: str) -> str:
    """Return an address as gRPC takes it: IPv6 in brackets, which may be left out.

    Raises:
        ValueError: If it has colons and is no IPv6 address: one with a port, say; is no name that
            could be resolved; or is empty, which sockets take for every address.
    """
    if not text.strip("[]"):
        raise ValueError(f"expected an address, got {text!r}")
    try:
        if ":" not in text:
            text.encode("idna")  # as the resolver will
            return text
        return f"[{ipaddress.IPv6Address(text.removeprefix('[').removesuffix(']'))}]"
    except ValueError as error:
        raise ValueError(
            f"expected an address without a port, as 0.0.0.0 or ::1, got {text!r:.80}"
        ) from error


def refuse_foreign(error: OSError, flag: str, host: str) -> None:
    """Say of an error of `bind` that the address is none of this machine, if it is that.

    Raises:
        ServerError: If it is.
    """
    if isinstance(error, socket.gaierror) or error.errno in _FOREIGN:
        raise ServerError(
            f"{flag} {host}: expected an address of this machine, got {error.strerror}"
        ) from error


def choose_ports(
    grpc_port: int, *, http: bool, host: str = HOST, others: Iterable[Ports] = ()
) -> Ports:
    """Return the port asked for, or a free one in place of 0, and free ones for the rest.

    Args:
        grpc_port: Port of gRPC.
        http: Whether HTTP needs one.
        host: Address that gRPC listens on.
        others: Ports that are given away already, though nobody listens there yet.

    Raises:
        ServerError: If the port asked for is taken.
    """
    taken = [port for ports in others for port in (ports.grpc, ports.http, ports.metrics)]
    while (grpc := _free_port(grpc_port, host)) in taken:
        if grpc_port:
            raise ServerError(f"expected port {grpc_port} for one server, got two that want it")
    taken.append(grpc)
    free = (port for port in iter(lambda: _free_port(0, HOST), None) if port not in taken)
    metrics = next(free)
    taken.append(metrics)
    return Ports(grpc, next(free) if http else None, metrics)


def listens(url: str) -> bool:
    """Return whether somebody takes connections at `host:port` of this machine."""
    host, _, port = url.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=0.2).close()
    except OSError:
        return False
    return True


def with_free_metrics(ports: Ports) -> Ports:
    """Return the ports, with another for metrics where somebody else has taken theirs.

    Clients know the port of gRPC; that of metrics is read from the server's note each time.
    """
    try:
        return replace(ports, metrics=_free_port(ports.metrics, HOST))
    except ServerError:
        return replace(ports, metrics=_free_port(0, HOST))


def listeners(ports: Ports, exposure: Exposure) -> list[str]:
    """Return the command line arguments for ports, addresses and TLS.

    Raises:
        ServerError: If a certificate cannot be read.
    """
    http = [f"--http-address={HOST}", f"--http-port={ports.http}"] if ports.http else []
    return [
        f"--grpc-address={exposure.host}",
        f"--grpc-port={ports.grpc}",
        *(_tls_arguments(exposure.tls) if exposure.tls else []),
        f"--allow-http={str(ports.http is not None).lower()}",
        *http,
        "--allow-metrics=true",
        f"--metrics-address={HOST}",
        f"--metrics-port={ports.metrics}",
        "--metrics-config=summary_latencies=true",
        "--metrics-config=summary_quantiles=0.5:0.05,0.99:0.001",
        "--allow-gpu-metrics=false",
        "--allow-cpu-metrics=false",
    ]


def _tls_arguments(files: TlsFiles) -> list[str]:
    files.check_server()  # Triton's own message names no file
    authority, certificate, key = files.names()
    return [
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-root-cert={authority}",
        f"--grpc-server-cert={certificate}",
        f"--grpc-server-key={key}",
    ]


def _free_port(wanted: int, host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As gRPC binds: past connections of a port do not matter, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), wanted))
        except OSError as error:
            refuse_foreign(error, "--listen", host)
            raise ServerError(
                f"expected port {wanted} of {host} to be free, got {error.strerror}; "
                "choose another --grpc-port, or 0 for any"
            ) from error
        port: int = probe.getsockname()[1]
        return port
