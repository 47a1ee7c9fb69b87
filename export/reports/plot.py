"""Owns the report's pictures: accuracy against latency, and latency against length, as SVG."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from export.reports.latency import PYTORCH, Cell
from export.reports.report import Report
from serve.display.page import picture


def pictures(report: Report) -> str:
    """Return both pictures as one SVG element; nothing where no latency was measured."""
    cells = [cell for cell in report.latencies.cells if cell.rounds]
    if not cells:
        return ""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_accuracy(left, report, cells[0])
    _draw_length(right, cells)
    return picture(figure)


def _draw_accuracy(axes: Any, report: Report, cell: Cell) -> None:  # noqa: ANN401
    """Draw each system's F1 over its latency, with what the dev lines leave open."""
    before = 100 * report.graphs[0].file.info.f1_before
    axes.plot(cell.median_ms[PYTORCH], before, "o", label=PYTORCH)
    for graph in report.graphs:
        info = graph.file.info
        if info.file in cell.median_ms:
            f1 = 100 * info.f1_after
            low, high = info.f1_loss_interval_points
            reach = [[max(0.0, f1 - (before - high))], [max(0.0, before - low - f1)]]
            axes.errorbar(cell.median_ms[info.file], f1, reach, fmt="o", label=info.file, capsize=3)
    axes.set(
        title="accuracy and latency", ylabel="entity F1 on the dev lines",
        xlabel=f"ms for {cell.batch_size} x {cell.num_tokens} tokens",
    )  # fmt: skip
    axes.set_xlim(left=0)
    axes.margins(y=0.3)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8)


def _draw_length(axes: Any, cells: list[Cell]) -> None:  # noqa: ANN401
    """Draw each system's latency of a single line over its tokens."""
    single = [cell for cell in cells if cell.batch_size == 1]
    for name in single[0].median_ms:
        tokens = [cell.num_tokens for cell in single]
        axes.plot(tokens, [cell.median_ms[name] for cell in single], "o-", label=name)
    axes.set(title="latency of one line", xlabel="tokens", ylabel="ms", xscale="log", yscale="log")
    axes.set_xticks([cell.num_tokens for cell in single], labels=[c.num_tokens for c in single])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8)
