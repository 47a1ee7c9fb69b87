"""Tell which version served whom, and when: each step, who took it, and what served from then on.

    python -m serve history
    python -m serve history --repository model_repository --json

The history is history.jsonl in the repository, a file that only grows.

exit status: 0 told, 1 failed (one line says why), 2 wrong usage
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from serve.commands import command_parser, deliver
from serve.commands.versions import add_repository
from serve.display.columns import in_columns
from serve.versions.history import Event, read_events

_HEAD = ("time", "step", "version", "bundle", "served since", "by", "")


@dataclass(frozen=True)
class HistoryConfig:
    """Whose history, and how to tell it.

    Attributes:
        repository: Triton's model repository.
        json: As one JSON object a line.
    """

    repository: Path = Path("model_repository")
    json: bool = False


def parse_args(argv: Sequence[str]) -> HistoryConfig:
    """Return the command line as a config."""
    parser = command_parser("serve history", __doc__)
    add_repository(parser, HistoryConfig.repository)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return HistoryConfig(**vars(parser.parse_args(argv)))


def run(config: HistoryConfig) -> int:
    """Print the history, oldest first.

    Raises:
        ServerError: If it is damaged.
    """
    events = read_events(config.repository)
    if config.json:
        for event in events:
            deliver(json.dumps(asdict(event)))
    else:
        none = f"no history in {config.repository}: nothing published"
        deliver(table(events) if events else none)
    return 0


def table(events: Sequence[Event]) -> str:
    """Return events as a table."""
    return "\n".join(in_columns([_HEAD, *map(_row, events)]))


def _row(event: Event) -> tuple[str, ...]:
    traffic = event.traffic
    served = f"{traffic.stable or 'none'}"
    if traffic.canary:
        served = f"{traffic.stable}, and {traffic.canary} to {traffic.share:.0%}"
    bundle = event.bundle[:12]
    return (event.time, event.step, str(event.version), bundle, served, event.who, event.note)
