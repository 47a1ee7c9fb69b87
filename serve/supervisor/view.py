"""Owns the picture of a supervisor in a terminal: a row for each replica, and what to know."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from serve.supervisor.health import Health
from serve.supervisor.life import Phase
from serve.supervisor.rates import Rates
from serve.supervisor.status import ReplicaStatus

_MB = 1e6
_COLUMNS = (
    *("replica", "gRPC", "health", "version", "req/s", "fail/s", "texts/s", "p50 ms", "p99 ms"),
    *("texts/batch", "queue", "canary ms", "MB", "restarts"),
)
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
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _COLUMNS[:4] else "right")
    for replica in status.replicas:
        table.add_row(*_cells(replica, rates.get(replica.number)))
    head = Text(f"Triton {status.triton}, supervised by process {status.pid}, {status.updated}")
    told = [Text(f"problem: {health.problem}", style="red")] if health.problem else []
    told += [Text(f"warning: {warning}", style="yellow") for warning in status.warnings]
    return Group(head, table, *told)


def _cells(replica: ReplicaStatus, rates: Rates | None) -> list[RenderableType]:
    figures, usage = replica.figures, replica.usage
    return [
        str(replica.number),
        replica.url,
        Text(replica.phase, style=_COLOURS.get(replica.phase, "red")),
        _versions(replica),
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
