"""Owns the picture of a supervisor in a terminal: a row for each replica, and what to know."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from serve.supervisor.health import Health
from serve.supervisor.life import Phase
from serve.supervisor.rates import Rates
from serve.supervisor.status import ReplicaStatus

_MB = 1e6
_COLUMNS = (
    *("replica", "gRPC", "health", "version", "req/s", "fail/s", "texts/s", "p50 ms", "p99 ms"),
    *("batch", "queue", "canary ms", "MB", "restarts"),
)
_NUM_WORDS = 4
"""The first columns are words, the others numbers."""
_SPARE = ("restarts", "queue", "MB", "canary ms", "texts/s", "fail/s", "batch")
"""What a narrow terminal does without, the first first."""
_BOUNDLESS = 1_000
_COLOURS = {Phase.READY: "green", Phase.DRAINING: "yellow", Phase.STARTING: "yellow"}


def view(health: Health, rates: Mapping[int, Rates]) -> RenderableType:
    """Return the picture.

    Args:
        health: How the supervisor is doing.
        rates: What each replica did lately, as far as that is known.
    """
    status = health.supervisor
    if status is None:
        return Text(f"no: {health.problem}", style="red")
    rows = [_cells(replica, rates.get(replica.number)) for replica in status.replicas]
    head = Text(f"Triton {status.triton}, supervised by process {status.pid}, {status.updated}")
    told = [Text(f"problem: {health.problem}", style="red")] if health.problem else []
    told += [Text(f"warning: {warning}", style="yellow") for warning in status.warnings]
    return Group(head, *told, _Rows(rows))  # a low terminal shows what comes first


class _Rows:
    """The replicas' rows: whole numbers of as many columns as there is room for."""

    def __init__(self, rows: Sequence[Sequence[RenderableType]]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left_out: list[str] = []
        table = self._table(left_out)
        while _width(console, options, table) > options.max_width and len(left_out) < len(_SPARE):
            left_out.append(_SPARE[len(left_out)])
            table = self._table(left_out)
        yield table
        if left_out:
            yield Text(f"a wider terminal also shows {', '.join(left_out)}", style="dim")

    def _table(self, left_out: Collection[str]) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        shown = [place for place, name in enumerate(_COLUMNS) if name not in left_out]
        for place in shown:
            table.add_column(_COLUMNS[place], justify="left" if place < _NUM_WORDS else "right")
        for row in self._rows:
            table.add_row(*(row[place] for place in shown))
        return table


def _width(console: Console, options: ConsoleOptions, table: Table) -> int:
    boundless = options.update(width=_BOUNDLESS)
    return Measurement.get(console, boundless, table).maximum


def _cells(replica: ReplicaStatus, rates: Rates | None) -> list[RenderableType]:
    figures, usage = replica.figures, replica.usage
    return [
        str(replica.number),
        Text(replica.url),  # a plain one is markup: of IPv6 the brackets would go
        Text(replica.phase, style=_COLOURS.get(replica.phase, "red")),
        Text(_versions(replica)),
        _number(None if rates is None else rates.requests_per_s),
        _number(None if rates is None else rates.failures_per_s),
        _number(None if rates is None else rates.texts_per_s),
        _number(None if figures is None else figures.p50_ms, 2),
        _number(None if figures is None else figures.p99_ms, 2),
        _number(None if rates is None else rates.texts_per_batch, 1),
        _number(None if figures is None else figures.num_pending),
        _number(replica.canary_ms, 1),
        _number(None if usage is None else usage.memory_bytes / _MB),
        str(sum(replica.restarts.values())),
    ]


def _versions(replica: ReplicaStatus) -> str:
    """Return the version that answers, and beside it others that are there."""
    others = [v.version for v in replica.versions if v.state == "READY"]
    shown = [replica.version or "-", *(v for v in others if v and v != replica.version)]
    return ", ".join(shown)


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
