"""Owns how Triton is launched: its command line, its process, its ports."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve.errors import ServerError
from serve.triton.installation import Installation
from serve.triton.processes import start_ticks
from serve.triton.state import ServerState

HOST = "127.0.0.1"
_EXIT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens, on loopback; None for a protocol that is off."""

    grpc: int
    http: int | None


def choose_ports(grpc_port: int, *, http: bool) -> Ports:
    """Return the port asked for, or free ones in place of 0.

    Raises:
        ServerError: If the port asked for is taken.
    """
    grpc = _free_port(grpc_port)
    while (other := _free_port(0)) == grpc:
        pass  # the kernel may offer a port again that nobody listens on yet
    return Ports(grpc, other if http else None)


def launch(installation: Installation, repository: Path, ports: Ports, log: Path) -> ServerState:
    """Start a server process and return what to know it by; it is not ready yet."""
    prefix = f"linetag-{secrets.token_hex(6)}-"
    command = [str(installation.server), *_arguments(installation, repository, ports, prefix)]
    # posix_spawn and not subprocess: the server may outlive this process, and nobody waits for it.
    pid = os.posix_spawn(
        command[0],
        command,
        installation.variables(),
        setsid=True,
        setsigmask=[],  # whatever signals this process holds back just now
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return ServerState(
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        prefix=prefix,
        url=f"{HOST}:{ports.grpc}",
        http_url=f"{HOST}:{ports.http}" if ports.http else None,
        repository=str(repository),
        log=str(log),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _arguments(
    installation: Installation, repository: Path, ports: Ports, prefix: str
) -> list[str]:
    http = [f"--http-address={HOST}", f"--http-port={ports.http}"] if ports.http else []
    return [
        f"--id={prefix}",
        f"--model-repository={repository}",
        f"--backend-directory={installation.backends}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        # Completion starts each model twice, and costs two seconds; our configuration is complete.
        "--disable-auto-complete-config",
        "--model-load-thread-count=2",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        f"--grpc-address={HOST}",
        f"--grpc-port={ports.grpc}",
        f"--allow-http={str(bool(http)).lower()}",
        *http,
        "--allow-metrics=false",
        "--allow-gpu-metrics=false",
    ]


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        # As gRPC binds: past connections of a port do not matter, a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise ServerError(
                f"expected port {wanted} to be free, got {error.strerror}; "
                "choose another --grpc-port, or 0 for any"
            ) from error
        port: int = probe.getsockname()[1]
        return port
