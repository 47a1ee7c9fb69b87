"""Restart the servers one after the other, while the others serve: no request is lost.

    python -m serve restart

Returns when each of them answers again. With a single server there is nobody to take over. The
files that they need to start again are checked before any of them is stopped.

exit status: 0 restarted, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Sequence

from serve.commands import command_parser, say
from serve.supervisor.config import FOLDER
from serve.supervisor.control import restart_service


def parse_args(argv: Sequence[str]) -> None:
    """Check the command line. Nothing to choose: there is one supervisor in a project folder."""
    command_parser("serve restart", __doc__).parse_args(argv)


def run(config: None) -> int:
    """Restart every server.

    Raises:
        TaggingError: If there is no supervisor, a file that a server needs to start would not do,
            or one does not come back in time.
    """
    for number in restart_service(FOLDER):
        say(f"replica {number} answers again")
    return 0
