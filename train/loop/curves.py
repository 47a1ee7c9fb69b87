"""Owns the picture of a training: loss and score by epoch, and which epoch was kept."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn, an epoch each.

    Attributes:
        loss: Mean training loss.
        score: What the best epoch was chosen by.
        score_name: Its name.
        best_epoch: The one that was kept, from 1.
    """

    loss: Sequence[float]
    score: Sequence[float]
    score_name: str
    best_epoch: int


def draw_curves(curves: Curves) -> bytes:
    """Return the picture as PNG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(curves.loss) + 1)
    left.plot(epochs, curves.loss, marker=".", color="C0")
    left.set(title="training", xlabel="epoch", ylabel="loss, nats a token", yscale="log")
    right.plot(epochs, curves.score, marker=".", color="C1")
    best = curves.score[curves.best_epoch - 1]
    right.plot([curves.best_epoch], [best], "o", color="C1")
    right.annotate(
        f"kept: {best:.4g}", (curves.best_epoch, best), (0, 8), textcoords="offset points",
        ha="center",
    )  # fmt: skip
    right.margins(y=0.2)
    right.set(title=curves.score_name, xlabel="epoch")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True, alpha=0.25)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    return content.getvalue()
