"""Owns how Triton is launched: its command line, its process, its ports.

Models are loaded and unloaded on request only, and such requests need the administrator's key. It
is drawn here, and overwritten in the server's memory of its command line as soon as the server has
read it: for some 50 ms after the start it shows in `ps`, not longer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve.errors import ServerError
from serve.triton.admin import restrictions, write_admin_key
from serve.triton.channels import AUTHORITY, SERVER, SERVER_KEY, read_pem
from serve.triton.installation import Installation
from serve.triton.processes import is_alive, overwrite_argument, start_ticks, wait_until
from serve.triton.state import ServerState

HOST = "127.0.0.1"
_EXIT_TIMEOUT_S = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server listens; None for a protocol that is off."""

    grpc: int
    http: int | None
    metrics: int | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who can reach a server's gRPC. HTTP and metrics, which have no TLS, stay on loopback.

    Attributes:
        host: Address to listen on.
        tls: Folder with the certificates of mutual TLS, see `serve.triton.channels`; None for none.
    """

    host: str = HOST
    tls: Path | None = None

    @property
    def local_host(self) -> str:
        """The address to reach it at from this machine."""
        return HOST if self.host in ("0.0.0.0", "[::]") else self.host


def choose_ports(grpc_port: int, *, http: bool) -> Ports:
    """Return the port asked for, or free ones in place of 0.

    Raises:
        ServerError: If the port asked for is taken.
    """
    taken = [_free_port(grpc_port)]
    while len(taken) < 3:
        port = _free_port(0)
        if port not in taken:  # the kernel may offer one again that nobody listens on yet
            taken.append(port)
    return Ports(taken[0], taken[1] if http else None, taken[2])


def launch(
    installation: Installation,
    repository: Path,
    ports: Ports,
    log: Path,
    exposure: Exposure = Exposure(),
) -> ServerState:
    """Start a server process and return what to know it by; it is not ready yet.

    Raises:
        OSError: If the log or the key beside it cannot be written.
    """
    prefix = f"linetag-{secrets.token_hex(6)}-"
    key = write_admin_key(log.parent)
    command = [
        str(installation.server),
        *_identity(installation, repository, prefix),
        *_listeners(ports, exposure),
        *restrictions(key, http=ports.http is not None),
    ]
    with contextlib.suppress(FileNotFoundError):  # why the last one ended is worth keeping
        log.replace(log.with_name(f"{log.name}.1"))
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
    ticks = start_ticks(pid) or 0
    _hide(key, pid, ticks, log)
    return ServerState(
        pid=pid,
        start_ticks=ticks,
        prefix=prefix,
        url=f"{exposure.local_host}:{ports.grpc}",
        http_url=f"{HOST}:{ports.http}" if ports.http else None,
        metrics_url=f"{HOST}:{ports.metrics}" if ports.metrics else None,
        tls=str(exposure.tls) if exposure.tls else None,
        repository=str(repository),
        log=str(log),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _hide(key: str, pid: int, ticks: int, log: Path) -> None:
    """Overwrite the key on a server's command line once it has read it: when it first logs."""
    wait_until(lambda: bool(log.stat().st_size) or not is_alive(pid, ticks), timeout_s=2.0)
    if not overwrite_argument(pid, key) and is_alive(pid, ticks):
        logger.warning("%s: expected to hide the administrator's key, could not: ps shows it", log)


def _identity(installation: Installation, repository: Path, prefix: str) -> list[str]:
    return [
        f"--id={prefix}",
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        "--load-model=*",
        f"--backend-directory={installation.backends}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        # Completion starts each model twice, and costs two seconds; our configuration is complete.
        "--disable-auto-complete-config",
        "--model-load-thread-count=2",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
    ]


def _listeners(ports: Ports, exposure: Exposure) -> list[str]:
    http = [f"--http-address={HOST}", f"--http-port={ports.http}"] if ports.http else []
    metrics = [f"--metrics-address={HOST}", f"--metrics-port={ports.metrics}"]
    return [
        f"--grpc-address={exposure.host}",
        f"--grpc-port={ports.grpc}",
        *(_tls_arguments(exposure.tls) if exposure.tls else []),
        f"--allow-http={str(ports.http is not None).lower()}",
        *http,
        f"--allow-metrics={str(ports.metrics is not None).lower()}",
        *(metrics if ports.metrics else []),
        "--metrics-config=summary_latencies=true",
        "--metrics-config=summary_quantiles=0.5:0.05,0.99:0.001",
        "--allow-gpu-metrics=false",
        "--allow-cpu-metrics=false",
    ]


def _tls_arguments(folder: Path) -> list[str]:
    for name in (AUTHORITY, SERVER, SERVER_KEY):
        read_pem(folder / name)
    return [
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-root-cert={folder / AUTHORITY}",
        f"--grpc-server-cert={folder / SERVER}",
        f"--grpc-server-key={folder / SERVER_KEY}",
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
