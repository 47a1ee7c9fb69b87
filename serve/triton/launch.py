"""Owns how Triton is launched: its command line and its process.

Models are loaded and unloaded on request only, and such requests need the administrator's key. It
is drawn here, and overwritten in the server's memory of its command line as soon as the server has
read it: for some 50 ms after the start it shows in `ps`, not longer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import secrets
import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from serve.triton.admin import restrictions, write_admin_key
from serve.triton.installation import Installation
from serve.triton.listening import HOST, LOOPBACK, Exposure, Ports, listeners
from serve.triton.names import EMBEDDED, MODEL
from serve.triton.processes import (
    overwrite_argument,
    remove_shared_memory,
    start_ticks,
    wait_until,
)
from serve.triton.serving import IDENTITY, REPOSITORY
from serve.triton.state import ServerState, write_state
from serve.triton.tls import LOCAL_NAME

LOG = "triton.log"
_EXIT_TIMEOUT_S = 5
_NUM_FILES = 65_536
"""More would be of no use, and some programs look at each that may be open."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """Which server to launch.

    Attributes:
        installation: Which Triton.
        repository: The model repository.
        ports: Where it listens.
        exposure: Who can reach it.
        is_telling: Whether whoever reaches it may read its settings and statistics.
    """

    installation: Installation
    repository: Path
    ports: Ports
    exposure: Exposure = LOOPBACK
    is_telling: bool = False

    @property
    def url(self) -> str:
        """Address of its gRPC, as seen from this machine."""
        return f"{self.exposure.local_host}:{self.ports.grpc}"

    @property
    def client_url(self) -> str:
        """The same for clients on this machine: with TLS, they check the certificate's name."""
        is_named = self.exposure.tls and self.exposure.local_host == HOST
        return f"{LOCAL_NAME}:{self.ports.grpc}" if is_named else self.url

    @property
    def http_url(self) -> str | None:
        """Address of its HTTP, or None where it is off."""
        return f"{HOST}:{self.ports.http}" if self.ports.http else None

    @property
    def metrics_url(self) -> str:
        """Address of its metrics."""
        return f"{HOST}:{self.ports.metrics}"


def launch(order: Order, folder: Path) -> ServerState:
    """Start a server process and return what to know it by; it is not ready yet.

    Its note is written before, so that whoever comes after a starter that was killed finds it.

    Args:
        order: Which server.
        folder: For its log, the note of its state, and the administrator's key.

    Raises:
        OSError: If a file cannot be written there.
        ServerError: If a certificate cannot be read.
    """
    key, log = write_admin_key(folder), folder / LOG
    state = _note(order, log)
    command = [
        str(order.installation.server),
        *_identity(order, state.prefix),
        *listeners(order.ports, order.exposure),
        *restrictions(key, http=order.ports.http is not None, is_telling=order.is_telling),
    ]
    with contextlib.suppress(FileNotFoundError):  # why the last one ended is worth keeping
        log.replace(log.with_name(f"{log.name}.1"))
    write_state(folder, state)
    pid = _spawn(command, order.installation.variables(), log)
    _allow_connections(pid)
    try:
        state = replace(state, pid=pid, start_ticks=start_ticks(pid) or 0)
        write_state(folder, state)
        _hide(key, state)
    except BaseException:  # nobody would know of it: a full disk, say, and the note is not written
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # its own session's, and needs no descriptor
        os.waitpid(pid, 0)
        remove_shared_memory(state.prefix)
        raise
    return state


def _note(order: Order, log: Path) -> ServerState:
    tls = order.exposure.tls
    return ServerState(
        pid=0,
        start_ticks=0,
        prefix=f"linetag-{secrets.token_hex(6)}-",
        url=order.url,
        http_url=order.http_url,
        metrics_url=order.metrics_url,
        tls=tls.names() if tls else (),
        repository=str(order.repository),
        log=str(log.absolute()),  # a step may be taken in another folder
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _spawn(command: list[str], variables: dict[str, str], log: Path) -> int:
    # posix_spawn and not subprocess: the server may outlive this process, and nobody waits for it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # appended to, it can be cut while it is open
    return os.posix_spawn(
        command[0],
        command,
        variables,
        setsid=True,
        setsigmask=[],  # whatever signals this process holds back just now
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def _allow_connections(pid: int) -> None:
    """Let a server open more files than the usual 1,024: each connection is one."""
    with contextlib.suppress(OSError):  # it ended
        allowed, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        wanted = max(allowed, min(most, _NUM_FILES))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (wanted, most))


def _hide(key: str, state: ServerState) -> None:
    """Overwrite the key on a server's command line once it has read it: when it first logs."""
    log = Path(state.log)
    wait_until(lambda: bool(log.stat().st_size) or not state.is_running(), timeout_s=2.0)
    if not overwrite_argument(state.pid, key) and state.is_running():
        logger.warning("%s: expected to hide the administrator's key, could not: ps shows it", log)


def _identity(order: Order, prefix: str) -> list[str]:
    return [
        f"{IDENTITY}{prefix}",
        f"{REPOSITORY}{order.repository}",
        "--model-control-mode=explicit",
        f"--load-model={MODEL}",  # which runs the graph itself: the encoder is for other backends
        f"--model-config-name={EMBEDDED}",
        f"--backend-directory={order.installation.backends}",
        f"--backend-config=python,shm-region-prefix-name={prefix}",
        # Completion starts each model twice, and costs two seconds; our configuration is complete.
        "--disable-auto-complete-config",
        "--model-load-thread-count=2",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
    ]
