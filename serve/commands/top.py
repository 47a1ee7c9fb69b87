"""Watch the servers that python -m serve start started: rate, latency, batch fill, health.

    python -m serve top
    python -m serve top --interval 5
    python -m serve top > snapshot.txt
    python -m serve top --json

On a terminal it is drawn anew every two seconds until Ctrl-C; elsewhere, and with --json, it is one
snapshot, over one interval. Requests and texts are callers'. p50 and p99 are of the last minute,
inside the server, the supervisor's canaries among them. batch is how many texts the batcher
merged on average; the largest is 256.

exit status: 0 every server answers rightly, 1 not all do, or none runs, 2 wrong usage
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from serve.commands import command_parser, deliver, importing
from serve.errors import needing
from serve.supervisor.config import FOLDER
from serve.supervisor.health import Health, read_health
from serve.supervisor.rates import Rates, rates

_WIDTH = 160
"""Columns of a snapshot: a pipe has no width of its own."""


@dataclass(frozen=True)
class TopConfig:
    """How to watch.

    Attributes:
        interval: Seconds between two looks.
        json: Print one snapshot as a JSON object.
    """

    interval: float = 2.0
    json: bool = False


def parse_args(argv: Sequence[str]) -> TopConfig:
    """Return the command line as a config."""
    parser = command_parser("serve top", __doc__)
    default = TopConfig.interval
    text = f"between two looks, at least 2 ({default:g})"
    parser.add_argument("--interval", type=float, default=default, metavar="SECONDS", help=text)
    parser.add_argument("--json", action="store_true", help="one snapshot as a JSON object")
    args = parser.parse_args(argv)
    if not 2.0 <= args.interval <= 3600.0:
        parser.error(f"--interval: expected 2 to 3600 seconds, got {args.interval:g}")
    return TopConfig(**vars(args))


def run(config: TopConfig) -> int:
    """Watch, or print one snapshot; return 0 if every server answers at the end, else 1.

    Raises:
        ServerError: If the status cannot be read, or the package rich is not installed.
    """
    if config.json:
        health, lately = _snapshot(config.interval)
        deliver(json.dumps({**asdict(health), "rates": {n: asdict(r) for n, r in lately.items()}}))
    else:
        health = _draw(config.interval)
    return 0 if health.is_ready else 1


def _draw(interval_s: float) -> Health:
    with needing("the package rich", "top"), importing():
        from rich.console import Console
        from rich.live import Live

        from serve.supervisor.view import view
    if sys.stdout is None or not sys.stdout.isatty():
        health, lately = _snapshot(interval_s)
        drawn = io.StringIO()  # rich would write nowhere without a word where there is no output
        Console(file=drawn, width=_WIDTH).print(view(health, lately))
        deliver(drawn.getvalue().removesuffix("\n"))
        return health
    health = read_health(FOLDER)
    with Live(view(health, {}), console=Console(), auto_refresh=False) as live:
        try:
            while True:
                time.sleep(interval_s)  # whatever there is to see: a supervisor may come
                health, lately = _look(health)
                live.update(view(health, lately), refresh=True)
        except KeyboardInterrupt:
            return health


def _snapshot(interval_s: float) -> tuple[Health, Mapping[int, Rates]]:
    """Return how things are, and what happens during an interval; at once if nothing can happen."""
    before = read_health(FOLDER)
    if before.is_running:
        time.sleep(interval_s)
    return _look(before)


def _look(before: Health) -> tuple[Health, Mapping[int, Rates]]:
    """Return how things are now, and what happened meanwhile."""
    after = read_health(FOLDER)
    if before.supervisor is None or after.supervisor is None:
        return after, {}
    return after, rates(before.supervisor, after.supervisor)
