"""Owns the picture of a study: what mattered, and how the best dev F1 rose with the trials."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from serve.files import staged_file
from train.search.trials import Outcome


def plot(found: Outcome, path: Path) -> None:
    """Write a study's picture as PNG, whole or not at all."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_importance(left, found)
    _draw_trials(right, found)
    with staged_file(path) as staging:
        figure.savefig(staging, format="png", dpi=130)


def _draw_importance(axes: Any, found: Outcome) -> None:  # noqa: ANN401
    bars = axes.barh(list(found.importance), list(found.importance.values()))
    axes.bar_label(bars, fmt="{:.2f}", padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set(title="importance of each setting", xlabel="share in the variance of dev F1 (fANOVA)")
    if not found.importance:
        axes.text(0.5, 0.5, "too few trials to tell", ha="center", transform=axes.transAxes)


def _draw_trials(axes: Any, found: Outcome) -> None:  # noqa: ANN401
    ended = [(t.number, t.best_f1) for t in found.trials if t.best_f1 is not None]
    pruned = [(t.number, max(t.dev_f1)) for t in found.trials if t.outcome == "pruned"]
    if ended:
        numbers, scores = zip(*ended, strict=True)
        axes.plot(numbers, scores, "o", label="ended")
        axes.step(numbers, list(itertools.accumulate(scores, max)), where="post", label="best")
    if pruned:
        axes.plot(*zip(*pruned, strict=True), "x", color="gray", label="pruned, its best epoch")
    axes.set(title="trials", xlabel="trial", ylabel="dev F1")
    axes.locator_params(axis="x", integer=True)
    axes.grid(visible=True, alpha=0.25)
    if found.trials:
        axes.legend(fontsize=8)  # where it covers least
