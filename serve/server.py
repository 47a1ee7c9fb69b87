"""Owns a running Triton: start it, know it for one's own, stop it without a trace.

Policy:
* gRPC on loopback only; HTTP off unless asked for, and on loopback then; metrics off.
* A free port is chosen, and another one if somebody took it meanwhile. A port that was asked for
  and is taken is an error.
* The server leads a process group of its own and carries a random prefix: on the command line of
  its processes, in the names of its shared memory, and as its id. It counts as ready when the very
  child lives, whoever answers on the port says that id, and the model answers.
* Whatever a killed server left behind is killed and its shared memory removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from serve.client import connect
from serve.errors import ServerError
from serve.files import locked
from serve.repository import versions
from serve.triton.installation import Installation
from serve.triton.launch import choose_ports, launch
from serve.triton.logs import is_lost_port, reason_of
from serve.triton.names import MODEL
from serve.triton.processes import sweep, wait_until
from serve.triton.state import ServerState, read_state, remove_state, write_state

ENVIRONMENT = Path(".venv-triton")
FOLDER = Path("build/triton")
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
LOG = "triton.log"
_PORT_TRIALS = 5


class TritonServer:
    """A server that was ready when this was made; leaving it as a context manager stops it.

    Attributes:
        state: What to know it by.
        folder: Where its log and the note of its state lie.
    """

    def __init__(self, state: ServerState, folder: Path, *, is_temporary: bool) -> None:
        """Take what `start_triton` started."""
        self.state = state
        self.folder = folder
        self._is_temporary = is_temporary

    @property
    def url(self) -> str:
        """Address of gRPC, `host:port`."""
        return self.state.url

    def stop(self) -> bool:
        """Stop the server, gracefully if it lets us; return whether it was not stopped before."""
        was_noted = stop_triton(self.folder, only=self.state)
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)
        return was_noted

    def __enter__(self) -> Self:
        """Return the server; leaving stops it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()


class _LostPortError(ServerError):
    """Somebody took the port between our choice and Triton's bind."""


def start_triton(
    repository: str | Path,
    *,
    environment: str | Path = ENVIRONMENT,
    grpc_port: int = 0,
    http: bool = False,
    folder: str | Path | None = None,
) -> TritonServer:
    """Start Triton on a model repository and return when it answers.

    Args:
        repository: The model repository, with at least one version of the tagger.
        environment: Virtual environment with nvidia-pytriton.
        grpc_port: Port of gRPC on loopback; 0 for any free one.
        http: Whether to listen for HTTP too, on a free port.
        folder: Where to keep log and state; None for a temporary folder that goes with the server.

    Raises:
        ServerError: If there is nothing to serve, no Triton, one running already in `folder`, the
            port is taken, or Triton does not come up: with the reason from its log.
    """
    installation = Installation.find(Path(environment))
    installation.place_stub()
    repository = Path(repository).absolute()
    if not versions(repository):
        raise ServerError(
            f"{repository / MODEL}: expected a published version, got none; "
            "publish a bundle with python -m serve publish"
        )
    where = Path(folder or tempfile.mkdtemp(prefix="linetag-triton-")).absolute()
    where.mkdir(parents=True, exist_ok=True)
    try:
        with locked(where):
            _refuse_running(where)
            _stop(where)  # what a server that died left behind
            state = _start(installation, repository, where, grpc_port, http=http)
    except BaseException:
        if folder is None:
            shutil.rmtree(where, ignore_errors=True)
        raise
    return TritonServer(state, where, is_temporary=folder is None)


def stop_triton(folder: Path = FOLDER, *, only: ServerState | None = None) -> bool:
    """Stop the server noted in a folder and remove whatever is left of it.

    Args:
        folder: Where its state was written.
        only: Stop no other server than this, should another one run in the folder by now.

    Returns:
        Whether there was one, alive or dead.

    Raises:
        ServerError: If the note cannot be read, or a process does not die.
    """
    if not folder.is_dir():
        return False
    with locked(folder):
        if only and read_state(folder) != only:
            return False
        return _stop(folder)


def _start(
    installation: Installation, repository: Path, folder: Path, grpc_port: int, *, http: bool
) -> ServerState:
    for trials_left in reversed(range(_PORT_TRIALS)):
        state = launch(installation, repository, choose_ports(grpc_port, http=http), folder / LOG)
        write_state(folder, state)
        try:
            _await_ready(state)
            return state
        except BaseException as error:
            _stop(folder)
            if grpc_port or not trials_left or not isinstance(error, _LostPortError):
                raise
    raise AssertionError("the last trial returns or raises")


def _await_ready(state: ServerState) -> None:
    ended_or_ready = lambda: not state.is_running() or _answers(state)  # noqa: E731
    in_time = wait_until(ended_or_ready, timeout_s=READY_TIMEOUT_S)
    log = Path(state.log)
    if not state.is_running():
        if is_lost_port(log):
            raise _LostPortError(f"expected the port of {state.url} to be free, got it taken")
        raise ServerError(f"{state.repository}: expected Triton to start, got {reason_of(log)}")
    if not in_time:
        raise ServerError(
            f"{state.repository}: expected Triton to be ready within {READY_TIMEOUT_S:g} s, "
            f"got {reason_of(log)}"
        )


def _answers(state: ServerState) -> bool:
    """Return whether this very server answers, and its model too."""
    host, _, port = state.url.partition(":")
    with contextlib.suppress(OSError, ServerError):
        # A bare connection first: gRPC waits long between its own attempts.
        socket.create_connection((host, int(port)), timeout=1.0).close()
        with contextlib.closing(connect(state.url, timeout_s=5.0)) as connection:
            return connection.server_id() == state.prefix and bool(connection.graph())
    return False


def _refuse_running(folder: Path) -> None:
    state = read_state(folder)
    if state and state.is_running():
        raise ServerError(
            f"{folder}: expected no server, got one at {state.url} (process {state.pid}); "
            "stop it first with python -m serve stop"
        )


def _stop(folder: Path) -> bool:
    state = read_state(folder)
    if state is None:
        return False
    if state.is_running():
        os.kill(state.pid, signal.SIGTERM)
        if not wait_until(lambda: not state.is_running(), timeout_s=STOP_TIMEOUT_S):
            os.killpg(state.pid, signal.SIGKILL)
    sweep(state.prefix)
    with contextlib.suppress(ChildProcessError):  # not ours, when another process started it
        os.waitpid(state.pid, 0)
    remove_state(folder)
    return True
