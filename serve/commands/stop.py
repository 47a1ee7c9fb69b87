"""Stop the servers that python -m serve start started, and remove whatever is left of them.

    python -m serve stop

Requests in flight are answered first. Servers whose supervisor was killed are cleared away too;
without any there is nothing to do.

exit status: 0 stopped, or nothing to stop, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence

from serve.commands import command_parser, say
from serve.supervisor.config import FOLDER
from serve.supervisor.control import stop_service
from serve.supervisor.patience import Patience


def parse_args(argv: Sequence[str]) -> None:
    """Check the command line. Nothing to choose: there is one supervisor in a project folder."""
    command_parser("serve stop", __doc__).parse_args(argv)


def run(config: None) -> int:
    """Stop the servers; without any there is nothing to do.

    Raises:
        ServerError: If a process does not die.
    """
    was_there = stop_service(FOLDER, patience_s=Patience.drain_s)
    say("stopped" if was_there else "no server to stop")
    return 0
