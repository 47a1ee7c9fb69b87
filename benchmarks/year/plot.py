"""Owns the year's picture: the champion's F1 by month, and what happened in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.drawing import save_png
from benchmarks.year.month import Month
from benchmarks.year.slices import ARRIVAL, POISONED

_ACCEPTED, _REFUSED, _LINE, _OTHER = "#2f7d4f", "#b23a3a", "#2a6fa8", "#c46a3a"


def plot(months: Sequence[Month], path: Path) -> None:
    """Draw the months as PNG, whole or not at all."""
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    axes = figure.subplots()
    numbers = [m.month for m in months]
    overall, arriving = [100 * m.f1 for m in months], [100 * m.f1_arriving for m in months]
    axes.step(numbers, overall, where="post", color=_LINE, label="all test lines")
    axes.step(
        numbers, arriving, where="post", color=_OTHER, linestyle="--",
        label=f"test lines about the machine bought in month {ARRIVAL}",
    )  # fmt: skip
    for accepted, colour, marker, name in (
        (True, _ACCEPTED, "o", "challenger accepted"),
        (False, _REFUSED, "x", "refused"),
    ):
        chosen = [m for m in months if m.month and m.accepted is accepted]
        axes.scatter(
            [m.month for m in chosen], [100 * m.f1 for m in chosen], color=colour, marker=marker,
            zorder=3, label=name,
        )  # fmt: skip
    low = min([*overall, *arriving]) - 2
    due = [m.month for m in months if m.is_due]
    axes.scatter(due, [low] * len(due), color="#555", marker="^", label="drift: refit due")
    axes.axvline(POISONED, color=_REFUSED, alpha=0.3, linewidth=6, label="labels mixed up")
    axes.axvline(ARRIVAL, color=_OTHER, alpha=0.3, linewidth=6, label="the machine is bought")
    axes.set(xlabel="month", ylabel="champion's entity F1, held-out test", xticks=numbers)
    axes.set_title("A year on mwo2kg: about 200 new lines a month")
    axes.grid(visible=True, alpha=0.25)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    save_png(figure, path)
