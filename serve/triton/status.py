"""Owns the answer to how a server is doing, asked of the process, the server and the model.

Triton's own health stays good when the model's process has died, so the model is asked as well.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from serve.client import connect
from serve.errors import ServerError
from serve.triton.names import GraphJson, ModelVersion
from serve.triton.state import ServerState, read_state

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is doing.

    Attributes:
        is_running: Whether its process lives.
        is_ready: Whether its model answered just now.
        problem: Why it is not ready, and the remedy; None when it is.
        server: What is known of it; None if none was started.
        versions: Every version the server knows of.
        graph: The graph that answered; None when none did.
    """

    is_running: bool
    is_ready: bool
    problem: str | None
    server: ServerState | None = None
    versions: tuple[ModelVersion, ...] = ()
    graph: GraphJson | None = None


def read_status(folder: Path) -> ServerStatus:
    """Return how the server noted in a folder is doing.

    Raises:
        ServerError: If the note cannot be read.
    """
    state = read_state(folder)
    if state is None:
        return ServerStatus(False, False, "not started; start it with python -m serve start")
    if not state.is_running():
        problem = f"died, see {state.log}; python -m serve start clears its remains and starts anew"
        return ServerStatus(False, False, problem, state)
    versions: tuple[ModelVersion, ...] = ()
    with contextlib.closing(connect(state.url, timeout_s=_TIMEOUT_S)) as connection:
        try:
            versions = tuple(connection.model_versions())
            return ServerStatus(True, True, None, state, versions, connection.graph())
        except ServerError as error:
            return ServerStatus(True, False, str(error), state, versions)
