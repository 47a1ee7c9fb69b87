"""Owns the picture of learning curves: points for draws, a line for means, a band for spread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from train.curve.runs import Run
from train.curve.summary import Step, summary


def plot(runs: Sequence[Run], path: Path) -> None:
    """Write the dev F1 of runs over their numbers of lines as PNG, whole or not at all."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.subplots()
    curves: dict[tuple[str, str], list[Step]] = {}
    for step in summary(runs):
        curves.setdefault((step.strategy, step.pick), []).append(step)
    for number, ((strategy, pick), steps) in enumerate(curves.items()):
        color = f"C{number}"  # matplotlib's own cycle
        sizes = [step.num_lines for step in steps]
        means = [step.dev_f1.mean for step in steps]
        axes.plot(sizes, means, color=color, label=f"{strategy}, {pick} lines")
        low = [step.dev_f1.mean - (step.dev_f1.deviation or 0) for step in steps]
        high = [step.dev_f1.mean + (step.dev_f1.deviation or 0) for step in steps]
        axes.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
        own = [run for run in runs if (run.strategy, run.pick) == (strategy, pick)]
        axes.scatter(
            [run.num_lines for run in own], [run.dev_f1 for run in own], s=9, color=color
        )  # fmt: skip
    ticks = sorted({run.num_lines for run in runs})
    axes.set(
        xscale="log", xlabel="labelled train lines (logarithmic)", ylabel="dev entity F1",
        title="Learning curves: mean, standard deviation and each draw",
    )  # fmt: skip
    axes.set_xticks(ticks, labels=list(map(str, ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(staging, format="png", dpi=130)
    staging.replace(path)
