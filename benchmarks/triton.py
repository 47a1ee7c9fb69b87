"""Owns a Triton without a supervisor, for benchmarks and tests: start it, know it, stop it.

Policy:
* gRPC and metrics on loopback only; HTTP off unless asked for, and on loopback then.
* Free ports are chosen, and other ones if somebody took them meanwhile.
* The server leads a process group of its own and carries a random prefix: on the command line of
  its processes, in the names of its shared memory, and as its id. It counts as ready when the very
  child lives, whoever answers on the port says that id, and the model answers.
* Log and state lie in a temporary folder, which goes with the server.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from serve.errors import ServerError
from serve.signals import ENDINGS
from serve.supervisor.orders import prepare
from serve.triton.ending import take_down
from serve.triton.installation import ENVIRONMENT
from serve.triton.launch import Order, launch
from serve.triton.listening import choose_ports, listens
from serve.triton.logs import reason_of
from serve.triton.probe import Probe
from serve.triton.processes import wait_until
from serve.triton.state import ServerState

_READY_TIMEOUT_S = 60.0
_PORT_TRIALS = 5


class LostPortError(ServerError):
    """Somebody took the port between our choice and Triton's bind."""


@dataclass(frozen=True, slots=True)
class TritonServer:
    """A server that was ready when this was made; leaving it as a context manager stops it.

    Attributes:
        state: What to know it by, and where its log lies.
    """

    state: ServerState

    @property
    def url(self) -> str:
        """Address of gRPC, `host:port`."""
        return self.state.url

    def stop(self) -> None:
        """Stop the server, gracefully if it lets us, and remove whatever is left of it.

        Raises:
            ServerError: If a process does not die.
        """
        take_down(self.state.folder)
        shutil.rmtree(self.state.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the server; leaving stops it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()


def start_triton(
    repository: str | Path,
    *,
    environment: Path = ENVIRONMENT,
    http: bool = False,
    is_telling: bool = False,
) -> TritonServer:
    """Start Triton on a model repository and return when it answers.

    Args:
        repository: The model repository, with at least one version of the tagger.
        environment: Virtual environment with nvidia-pytriton.
        http: Whether to listen for HTTP too.
        is_telling: Whether anybody may read its settings and statistics, as perf_analyzer must.

    Raises:
        ServerError: If there is nothing to serve, no Triton, or Triton does not come up: with the
            reason from its log.
        OSError: If no folder for log and state can be made.
    """
    installation, repository = prepare(environment, Path(repository))
    folder = Path(tempfile.mkdtemp(prefix="linetag-triton-"))

    def trial() -> TritonServer:
        ports = choose_ports(0, http=http)
        return TritonServer(
            bring_up(Order(installation, repository, ports, is_telling=is_telling), folder)
        )

    try:
        for _ in range(_PORT_TRIALS - 1):
            with contextlib.suppress(LostPortError):
                return trial()
        return trial()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def bring_up(order: Order, folder: Path) -> ServerState:
    """Launch a server and return when it answers.

    Args:
        order: Which server.
        folder: For log and state, which nobody else uses; nothing but the log stays there if the
            server does not come up.

    Raises:
        LostPortError: If somebody has one of its ports.
        ServerError: If it does not come up: with the reason from its log.
        OSError: If the folder cannot be written to.
    """
    with _signals_held():  # an interrupt between spawn and note would leave a server
        state = launch(order, folder)
    try:
        _await_ready(state)
    except BaseException:
        take_down(folder)
        raise
    return state


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _await_ready(state: ServerState) -> None:
    """Wait until the very server that was started answers, and its model too."""
    in_time = wait_until(
        lambda: not state.is_running() or _answers(state), timeout_s=_READY_TIMEOUT_S
    )
    if in_time and state.is_running():
        return
    reason = reason_of(Path(state.log))
    if in_time and "already in use" in reason:
        raise LostPortError(f"expected the port of {state.url} to be free, got it taken")
    limit = "" if in_time else f" within {_READY_TIMEOUT_S:g} s"
    raise ServerError(f"{state.repository}: expected Triton to start{limit}, got {reason}")


def _answers(state: ServerState) -> bool:
    with contextlib.suppress(OSError, ServerError):
        # Bare connections first: gRPC pauses longer between its own attempts, HTTP comes later.
        if not all(listens(url) for url in (state.url, state.http_url) if url):
            return False
        with Probe(state, timeout_s=1.0) as probe:
            is_ours = probe.send_identity().result().name == state.prefix
            return is_ours and bool(probe.send([""]).result().version)
    return False
