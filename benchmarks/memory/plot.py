"""Owns the picture of memory curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.drawing import save_png
from benchmarks.memory.curve import Curve


def plot(curves: Sequence[Curve], path: Path) -> None:
    """Write the curves as PNG, whole or not at all."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        axes.plot(curve.lines, [size / 1e6 for size in curve.bytes], label=curve.name)
    axes.set(xlabel="lines of mixed length", ylabel="resident memory, MB", ylim=(0, None))
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8)
    save_png(figure, path)
