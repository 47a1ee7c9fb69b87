"""Owns an assessment's pictures: F1 by label with its doubt, and the reliability of scores."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from serve.display.page import drawn, picture
from train.evaluation.assess import Assessment, Trust
from train.evaluation.reliability import Reliability


def label_picture(a: Assessment) -> str:
    """Return F1 by label and its 95 % interval, where there is one, as SVG."""
    labels = list(a.f1_intervals)
    scores = [a.entities.micro, *a.entities.by_label.values()]
    figure = Figure(figsize=(8, 1 + 0.32 * len(labels)), layout="constrained")
    axes = figure.subplots()
    places = range(len(labels), 0, -1)
    axes.barh(places, [score.f1 for score in scores], color="#9ec5e8", height=0.7)
    for place, ends in zip(places, a.f1_intervals.values(), strict=True):
        if ends is not None:
            axes.hlines(place, *ends, color="#1b3a57", linewidth=2)
    names = [f"{drawn(k)} ({s.num_gold})" for k, s in zip(labels, scores, strict=True)]
    axes.set_yticks(list(places), labels=names)
    axes.set(xlim=(0, 1), xlabel="F1, strict, and its 95 % interval (entities in brackets)")
    axes.grid(visible=True, axis="x", alpha=0.25)
    return picture(figure)


def reliability_picture(trust: Trust) -> str:
    """Return the share right over the score, of words and of entities, as SVG."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, "tags of words", trust.words, trust.temperature)
    _draw(right, "entities", trust.entities, trust.temperature)
    return picture(figure)


def _draw(
    axes: Any,  # noqa: ANN401 (matplotlib has no types)
    title: str,
    pair: tuple[Reliability, Reliability],
    temperature: float,
) -> None:
    plain, served = pair
    axes.plot([0, 1], [0, 1], color="#999", linestyle="--", linewidth=1)
    drawn = [(plain, "temperature 1", "#c46a3a")]
    if temperature != 1.0:
        drawn.append((served, f"temperature {temperature:.3g}", "#2a6fa8"))
    for found, name, colour in drawn:
        scores = [b.score for b in found.bins]
        right = [b.right for b in found.bins]
        # Areas grow with the number of scores: a bin of 3 must not look like one of 300.
        sizes = [12 + 240 * b.num / max(1, found.num) for b in found.bins]
        axes.plot(scores, right, color=colour, label=f"{name}: ECE {found.ece:.3f}")
        axes.scatter(scores, right, sizes, color=colour, alpha=0.6)
    axes.set(title=title, xlabel="score", ylabel="share right", xlim=(0, 1.03), ylim=(0, 1.03))
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")
