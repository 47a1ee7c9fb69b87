"""Owns the picture of a load test: how latencies are distributed, and how they grow with load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.drawing import save_png
from benchmarks.load.calls import Closed, Measured, Open
from benchmarks.load.result import LoadResult
from benchmarks.load.table import caption

_STYLES = {1: "-", 8: "--", 32: ":"}
"""Of the lines of each number of callers."""


def plot(result: LoadResult, path: Path) -> None:
    """Write a result's picture as PNG, whole or not at all."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    servers = dict.fromkeys(each.system for each in result.measured if _is_open(each))
    colors = {name: f"C{number}" for number, name in enumerate(servers)}  # matplotlib's own cycle
    _draw_distributions(left, result, colors)
    _draw_rates(right, result, colors)
    figure.supxlabel(caption(result), fontsize=6, wrap=True)
    save_png(figure, path)


def _draw_distributions(axes: Any, result: LoadResult, colors: dict[str, str]) -> None:  # noqa: ANN401
    for each in result.measured:
        if each.system in colors and isinstance(each.load, Closed) and each.load.num_texts == 1:
            samples = np.sort(1e3 * np.concatenate(each.latency.samples_s))
            share = np.arange(1, len(samples) + 1) / len(samples)
            callers = each.load.num_callers
            axes.step(
                samples, 100 * share, _STYLES.get(callers, "-."), color=colors[each.system],
                label=f"{each.system}, {callers} caller{'s' if callers > 1 else ''}",
            )  # fmt: skip
    axes.set(
        xscale="log", title="closed loop: one line a call",
        xlabel="latency, ms (logarithmic)", ylabel="calls answered within, %",
    )  # fmt: skip
    axes.xaxis.set_major_formatter("{x:g}")  # 10, not a power
    axes.grid(visible=True, which="both", alpha=0.25)
    _legend_below(axes)


def _draw_rates(axes: Any, result: LoadResult, colors: dict[str, str]) -> None:  # noqa: ANN401
    for name, color in colors.items():
        rows = [each for each in result.measured if each.system == name and _is_open(each)]
        rates = [each.lines_per_s for each in rows]
        p50 = [1e3 * each.latency.p50_s for each in rows]
        p99 = [1e3 * each.latency.p99_s for each in rows]
        axes.plot(rates, p50, "o-", color=color, label=f"{name}, p50")
        axes.plot(rates, p99, "o--", color=color, label=f"{name}, p99", markerfacecolor="white")
    axes.set(
        xscale="log", yscale="log", title="open loop: Poisson arrivals of one line",
        xlabel="lines answered per second (logarithmic)",
        ylabel="latency from the arrival, ms (logarithmic)",
    )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.grid(visible=True, which="both", alpha=0.25)
    _legend_below(axes)


def _legend_below(axes: Any) -> None:  # noqa: ANN401
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=7)


def _is_open(each: Measured) -> bool:
    return isinstance(each.load, Open)
