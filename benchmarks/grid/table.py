"""Owns a grid's result as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.grid.engines import INT8
from benchmarks.grid.operators import OperatorTime
from benchmarks.grid.result import GridResult, Row, Scenario


def tables(result: GridResult) -> str:
    """Return batches, what bounds single lines, offline with its share of the peak, and growth."""
    lines = [_products(result), _operators(result)]
    parts = [_batches(result), *lines, _offline(result), _growth(result)]
    return "\n\n".join("\n".join(part) for part in parts) + f"\n\n{caption(result)}"


def caption(result: GridResult) -> str:
    """Return one sentence that says where and on what a result was measured."""
    return (
        f"{result.model}, {len(result.rows[0].samples_s)} rounds, {result.machine.hardware}; "
        f"measured INT8 peak {result.peak_macs_per_s / 1e9:,.0f} G multiply-adds/s on "
        f"{result.num_lanes} of them. {result.machine.software}."
    )


def _batches(result: GridResult) -> Iterator[str]:
    names = list(result.systems)
    heads = [f"{names[0]} ms"]
    for name in names[1:]:
        heads += [f"{name} ms", "speed-up"]
    yield f"| tokens | lines | {' | '.join(heads)} |"
    yield "|--:|--:|" + "--:|" * len(heads)
    by_cell: dict[tuple[int, int], dict[str, Row]] = {}
    for row in result.of(Scenario.BATCH):
        by_cell.setdefault((row.length, row.count), {})[row.system] = row
    for (length, count), rows in by_cell.items():
        cells = [f"{1e3 * rows[names[0]].p50_s:.2f}"]
        for name in names[1:]:
            cells += [f"{1e3 * rows[name].p50_s:.2f}", f"{result.ratio(rows[name]):.1f}x"]
        yield f"| {length} | {count} | {' | '.join(cells)} |"


def _products(result: GridResult) -> Iterator[str]:
    yield "| tokens, 1 line | INT8 ms | its products with weights alone, ms | at most |"
    yield "|--:|--:|--:|--:|"
    for row in result.of(Scenario.BATCH, system=INT8):
        if row.count == 1:
            alone_ms, most = 1e3 * result.products_s(row.length), result.most(row.length)
            yield f"| {row.length} | {1e3 * row.p50_s:.2f} | {alone_ms:.2f} | {most:.1f}x |"


def _operators(result: GridResult) -> Iterator[str]:
    by_name: dict[str, dict[int, OperatorTime]] = {}
    for time in result.operators:
        by_name.setdefault(time.operator, {})[time.length] = time
    lengths = sorted({time.length for time in result.operators})
    heads = [f"{length} tokens, us | share" for length in lengths]
    yield f"| operator | nodes | {' | '.join(heads)} |"
    yield "|---|" + "--:|" * (1 + 2 * len(lengths))
    totals = {n: sum(t.p50_s for t in result.operators if t.length == n) for n in lengths}
    for name, times in by_name.items():
        cells = [f"{1e6 * times[n].p50_s:.0f} | {times[n].p50_s / totals[n]:.0%}" for n in lengths]
        yield f"| {name} | {times[lengths[0]].num_nodes} | {' | '.join(cells)} |"


def _offline(result: GridResult) -> Iterator[str]:
    yield "| tokens, offline INT8 | tokens/s | G multiply-adds/s | share of the peak |"
    yield "|--:|--:|--:|--:|"
    for row in result.of(Scenario.OFFLINE):
        macs = result.offline_macs_per_s(row)
        yield (
            f"| {row.length} | {row.length * row.count / row.p50_s:,.0f} | {macs / 1e9:,.0f} "
            f"| {macs / result.peak_macs_per_s:.0%} |"
        )


def _growth(result: GridResult) -> Iterator[str]:
    yield "| time grows with | at 0, ms | each further, us | R² | farthest off, ms | at | linear |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for name, growth in result.growth().items():
        yield (
            f"| {name} | {1e3 * growth.base_s:.2f} | {1e6 * growth.slope_s:.1f} "
            f"| {growth.r2:.4f} | {1e3 * growth.max_deviation_s:.2f} | {growth.deviates_at} "
            f"| {'yes' if growth.is_linear else 'no'} |"
        )
