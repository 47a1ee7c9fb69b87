"""Tell how the servers that python -m serve start started are doing.

    python -m serve status
    python -m serve status --json

exit status: 0 every server answers rightly, 1 not all do, or none runs, 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from serve.commands import command_parser, deliver
from serve.supervisor.config import FOLDER
from serve.supervisor.health import read_health
from serve.supervisor.table import describe


@dataclass(frozen=True)
class StatusConfig:
    """How to tell it.

    Attributes:
        json: As one JSON object.
    """

    json: bool = False


def parse_args(argv: Sequence[str]) -> StatusConfig:
    """Return the command line as a config."""
    parser = command_parser("serve status", __doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return StatusConfig(**vars(parser.parse_args(argv)))


def run(config: StatusConfig) -> int:
    """Print the status; return 0 if every server answers, else 1.

    Raises:
        ServerError: If the status cannot be read.
    """
    health = read_health(FOLDER)
    deliver(json.dumps(asdict(health)) if config.json else describe(health))
    return 0 if health.is_ready else 1
