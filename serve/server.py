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

import re
import shutil
import tempfile
from pathlib import Path
from typing import Self

from serve.errors import ServerError
from serve.files import locked
from serve.repository import settle, versions
from serve.triton.ending import take_down
from serve.triton.installation import ENVIRONMENT, Installation
from serve.triton.lifecycle import bring_up, refuse_running
from serve.triton.listening import choose_ports
from serve.triton.names import MODEL
from serve.triton.state import ServerState, read_state

_PORT_TRIALS = 5
_NOT_TAKEN = re.compile(r"[^A-Za-z0-9@%+=:,./_~#^-]")
"""Triton gives paths to a shell, unquoted, to start its stub, and the stub reads them as ASCII."""


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

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()


def start_triton(
    repository: str | Path,
    *,
    environment: str | Path = ENVIRONMENT,
    grpc_port: int = 0,
    http: bool = False,
    folder: str | Path | None = None,
    is_telling: bool = False,
) -> TritonServer:
    """Start Triton on a model repository and return when it answers.

    Args:
        repository: The model repository, with at least one version of the tagger.
        environment: Virtual environment with nvidia-pytriton.
        grpc_port: Port of gRPC on loopback; 0 for any free one.
        http: Whether to listen for HTTP too, on a free port.
        folder: Where to keep log and state; None for a temporary folder that goes with the server.
        is_telling: Whether anybody may read its settings and statistics, as perf_analyzer must.

    Raises:
        ServerError: If there is nothing to serve, no Triton, one running already in `folder`, the
            port is taken, the folder cannot be written, or Triton does not come up: with the
            reason from its log.
    """
    installation, repository = prepare(Path(environment), Path(repository))
    num_trials = 1 if grpc_port else _PORT_TRIALS
    trials = (choose_ports(grpc_port, http=http) for _ in range(num_trials))
    where = Path(folder or tempfile.mkdtemp(prefix="linetag-triton-")).absolute()
    try:
        where.mkdir(parents=True, exist_ok=True)
        with locked(where):
            refuse_running(where)
            take_down(where)  # what a server that died left behind
            state = bring_up(installation, repository, where, trials, is_telling=is_telling)
    except BaseException as error:
        if folder is None:
            shutil.rmtree(where, ignore_errors=True)
        if isinstance(error, OSError):
            raise ServerError(
                f"{where}: expected a writable folder and a Triton that runs, got {error}"
            ) from error
        raise
    return TritonServer(state, where, is_temporary=folder is None)


def prepare(environment: Path, repository: Path) -> tuple[Installation, Path]:
    """Return the Triton of an environment and the absolute repository, both fit to be started.

    Raises:
        ServerError: If there is no Triton, or nothing to serve; or if a path is none that Triton
            takes.
    """
    for path in (environment.absolute(), repository.absolute()):
        _check_path(path)
    installation = Installation.find(environment)
    installation.place_stub()
    repository = repository.absolute()
    settle(repository)
    if not versions(repository):
        raise ServerError(
            f"{repository / MODEL}: expected a published version, got none; "
            "publish a bundle with python -m serve publish"
        )
    return installation, repository


def _check_path(path: Path) -> None:
    if odd := sorted(set(_NOT_TAKEN.findall(str(path)))):
        raise ServerError(
            f"{path}: expected a path of ASCII letters, digits and @%+=:,./_~#^-, which are all "
            f"that Triton takes, got {''.join(odd)!r}; name it by a link whose path has none of "
            "these"
        )


def stop_triton(folder: Path, *, only: ServerState | None = None) -> bool:
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
        return take_down(folder)
