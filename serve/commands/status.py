"""Tell how the Triton that python -m serve start started is doing.

    python -m serve status
    python -m serve status --json

The model is asked for an answer: exit 0 when it gives one, else 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from serve.commands import command_parser, deliver
from serve.server import FOLDER
from serve.triton.status import ServerStatus, read_status


@dataclass(frozen=True)
class StatusConfig:
    """How to tell it.

    Attributes:
        json: As one JSON object.
    """

    json: bool = False


def parse_args(argv: Sequence[str]) -> StatusConfig:
    """Return the command line as a config."""
    parser = command_parser("status", __doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return StatusConfig(**vars(parser.parse_args(argv)))


def run(config: StatusConfig) -> int:
    """Print the status; return 0 if the model answers, else 1.

    Raises:
        ServerError: If the note of the server's state cannot be read.
    """
    status = read_status(FOLDER)
    deliver(json.dumps(asdict(status)) if config.json else describe(status))
    return 0 if status.is_ready else 1


def describe(status: ServerStatus) -> str:
    """Return a status as lines for a person."""
    lines = [("ready", "yes" if status.is_ready else f"no: {status.problem}")]
    if status.server:
        lines.append(("gRPC", status.server.url))
        if status.server.http_url:
            lines.append(("HTTP", status.server.http_url))
        lines.append(("process", f"{status.server.pid}, started {status.server.started}"))
        lines.append(("repository", status.server.repository))
    lines += [(f"{v.model} {v.version}", f"{v.state} {v.reason}".strip()) for v in status.versions]
    if graph := status.graph:
        lines.append(("graph", f"{graph['file']}, {graph['precision']} on {graph['provider']}"))
    return "\n".join(f"{name:<12}{value}" for name, value in lines)
