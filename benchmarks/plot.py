"""Owns the picture of a result: how latencies are distributed, and offline lines per second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.drawing import save_png
from benchmarks.report import caption
from benchmarks.result import Result


def plot(result: Result, path: Path) -> None:
    """Write a result's picture as PNG, whole or not at all."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    colors = [f"C{number}" for number in range(len(result.systems))]  # matplotlib's own cycle
    _draw_latency(left, result, colors)
    _draw_throughput(right, result, colors)
    figure.supxlabel(caption(result), fontsize=6, wrap=True)
    save_png(figure, path)


def _draw_latency(axes: Any, result: Result, colors: list[str]) -> None:  # noqa: ANN401
    for system, color in zip(result.systems, colors, strict=True):
        samples = np.sort(1e3 * np.concatenate(system.samples.latency_s))
        share = np.arange(1, len(samples) + 1) / len(samples)
        axes.step(samples, 100 * share, label=system.facts.name, color=color)
    axes.set(
        xscale="log", title="single-stream: one line at a time",
        xlabel="latency, ms (logarithmic)", ylabel="lines answered within, %",
    )  # fmt: skip
    axes.xaxis.set_major_formatter("{x:g}")  # 10, not a power
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)


def _draw_throughput(axes: Any, result: Result, colors: list[str]) -> None:  # noqa: ANN401
    names = [system.facts.name for system in result.systems]
    bars = axes.barh(
        names, [s.lines_per_s(result.workload.num_lines) for s in result.systems], color=colors
    )
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title="offline: all lines at once", xlabel="lines per second")
