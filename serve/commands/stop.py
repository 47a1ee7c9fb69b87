"""Stop the Triton that python -m serve start started, and remove whatever is left of it.

    python -m serve stop

A server that was killed is cleared away too; without one there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.commands import command_parser, say
from serve.server import FOLDER, stop_triton


@dataclass(frozen=True)
class StopConfig:
    """Nothing to choose: there is one server in a project folder."""


def parse_args(argv: Sequence[str]) -> StopConfig:
    """Return the command line as a config."""
    command_parser("stop", __doc__).parse_args(argv)
    return StopConfig()


def run(config: StopConfig) -> int:
    """Stop the server; without one there is nothing to do.

    Raises:
        ServerError: If a process does not die.
    """
    say("stopped" if stop_triton(FOLDER) else "no server to stop")
    return 0
