"""Owns the tables of a load test, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.load.calls import Closed, Measured, Open
from benchmarks.load.result import LoadResult

_HEAD = "| asked by | | lines/s | of offline | p50 ms | speed-up | p90 ms | p99 ms | failed |"


def tables(result: LoadResult) -> str:
    """Return what each system did under each load, the cross-checks, and where it was measured."""
    parts = [
        *_measured_rows(result, Closed),
        "",
        *_measured_rows(result, Open),
        "",
        *(_check_rows(result) if result.checks else ()),
        caption(result),
    ]
    return "\n".join(parts)


def caption(result: LoadResult) -> str:
    """Return a sentence that says where and on what a result was measured."""
    num_rounds = max(len(each.rounds) for each in result.measured)
    seconds = max(each.seconds for each in result.measured)
    return (
        f"{result.workload.summary}, {num_rounds} rounds of {seconds:g} s, clients and servers on "
        f"the same {result.machine.hardware}; offline is the embedded runtime given all lines at "
        f"once. {result.machine.software}."
    )


def _measured_rows(result: LoadResult, kind: type[Closed] | type[Open]) -> Iterator[str]:
    yield _HEAD
    yield "|---|---|" + "--:|" * 7
    rows = [each for each in result.measured if isinstance(each.load, kind)]
    for load in dict.fromkeys(each.load for each in rows):
        yield from (_row(result, each) for each in rows if each.load == load)


def _row(result: LoadResult, each: Measured) -> str:
    figures = result.figures(each)
    failed = ", ".join(f"{num} {name}" for name, num in figures["failures"].items())
    cells = [
        str(each.load),
        each.system,
        f"{figures['lines_per_s']:,.0f}",
        f"{figures['offline_share']:.0%}",
        f"{figures['p50_ms']:.2f}",
        f"{figures['p50_ratio']:.1f}x" if figures["p50_ratio"] else "",
        f"{figures['p90_ms']:.2f}",
        f"{figures['p99_ms']:.2f}",
        failed or "0",
    ]
    return f"| {' | '.join(cells)} |"


def _check_rows(result: LoadResult) -> Iterator[str]:
    yield "| cross-check | asked by | lines/s | p50 ms | p90 ms | p99 ms | failed |"
    yield "|---|---|" + "--:|" * 5
    for check in result.checks:
        milliseconds = " | ".join(f"{ms:.2f}" for ms in (check.p50_ms, check.p90_ms, check.p99_ms))
        yield (
            f"| {check.tool} | {check.load} | {check.lines_per_s:,.0f} | {milliseconds} "
            f"| {check.num_failures} |"
        )
    yield ""
