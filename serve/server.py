"""Owns a Triton without a supervisor, for tests and benchmarks: start it, know it, stop it.

Policy:
* gRPC and metrics on loopback only; HTTP off unless asked for, and on loopback then.
* Free ports are chosen, and other ones if somebody took them meanwhile.
* The server leads a process group of its own and carries a random prefix: on the command line of
  its processes, in the names of its shared memory, and as its id. It counts as ready when the very
  child lives, whoever answers on the port says that id, and the model answers.
* Log and state lie in a temporary folder, which goes with the server.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Self

from serve.errors import ServerError
from serve.supervisor.orders import prepare
from serve.triton.ending import take_down
from serve.triton.installation import ENVIRONMENT
from serve.triton.lifecycle import bring_up
from serve.triton.listening import choose_ports
from serve.triton.state import ServerState

_PORT_TRIALS = 5


class TritonServer:
    """A server that was ready when this was made; leaving it as a context manager stops it.

    Attributes:
        state: What to know it by.
        folder: Where its log and the note of its state lie.
    """

    def __init__(self, state: ServerState, folder: Path) -> None:
        """Take what `start_triton` started."""
        self.state = state
        self.folder = folder

    @property
    def url(self) -> str:
        """Address of gRPC, `host:port`."""
        return self.state.url

    def stop(self) -> None:
        """Stop the server, gracefully if it lets us, and remove whatever is left of it.

        Raises:
            ServerError: If a process does not die.
        """
        take_down(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

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
    """
    installation, repository = prepare(Path(environment), Path(repository))
    trials = (choose_ports(0, http=http) for _ in range(_PORT_TRIALS))
    folder = Path(tempfile.mkdtemp(prefix="linetag-triton-"))
    try:
        state = bring_up(installation, repository, folder, trials, is_telling=is_telling)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise ServerError(f"{folder}: expected a Triton that runs, got {error}") from error
        raise
    return TritonServer(state, folder)
