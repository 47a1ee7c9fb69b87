"""Owns the picture of a training: loss and score by epoch, and which epoch was kept."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from train.loop.fit import best_epoch
from train.loop.state import Epoch


def draw_curves(history: Sequence[Epoch]) -> bytes:
    """Return the picture of a run's epochs as PNG; their scores are dev F1."""
    best = best_epoch(history)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in history]
    left.plot(numbers, [epoch.loss for epoch in history], marker=".", color="C0")
    left.set(title="training", xlabel="epoch", ylabel="loss, nats a token", yscale="log")
    right.plot(numbers, [epoch.score for epoch in history], marker=".", color="C1")
    kept = (best.number, best.score)
    right.plot(*kept, "o", color="C1")
    right.annotate(f"kept: {best.score:.4g}", kept, (0, 8), textcoords="offset points", ha="center")
    right.margins(y=0.2)
    right.set(title="dev F1", xlabel="epoch")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.25)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    return content.getvalue()
