"""Owns how far scores can be believed: of all that scored 0.9, are nine in ten right?

The expected calibration error is the mean distance of score and share right over equal bins,
weighted by how many fell into each (Guo et al. 2017, On Calibration of Modern Neural Networks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.evaluation.answers import Answer

NUM_BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """What scored alike.

    Attributes:
        low: Scores of the bin are above it.
        high: And at most this.
        num: How many.
        score: Their mean score, in [0, 1].
        right: Share of them that is right, in [0, 1].
    """

    low: float
    high: float
    num: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Scores held against what was right.

    Attributes:
        num: How many scores.
        ece: Expected calibration error, in [0, 1].
        brier: Mean squared distance of a score from 1 if right and 0 if not, in [0, 1].
        bins: The bins that hold anything.
    """

    num: int
    ece: float
    brier: float
    bins: tuple[Bin, ...]


def reliability(scores: Sequence[float], right: Sequence[bool]) -> Reliability:
    """Hold scores against what was right; there are as many of both."""
    score, is_right = np.asarray(scores, dtype=float), np.asarray(right, dtype=float)
    place = np.clip(np.ceil(score * NUM_BINS) - 1, 0, NUM_BINS - 1).astype(int)
    members = [place == i for i in range(NUM_BINS)]
    bins = [_bin(i, score[m], is_right[m]) for i, m in enumerate(members) if m.any()]
    num = len(score)
    ece = sum(b.num * abs(b.score - b.right) for b in bins) / max(1, num)
    brier = float(((score - is_right) ** 2).sum()) / max(1, num)
    return Reliability(num, ece, brier, tuple(bins))


def of_words(answers: Sequence[Answer], *, plain: bool) -> Reliability:
    """Hold the scores of words' tags, plain or as served, against gold's tags."""
    scores = [s for a in answers for s in (a.plain_scores if plain else a.scores)]
    right = [gold == tag for a in answers for gold, tag in zip(a.gold_tags, a.tags, strict=True)]
    return reliability(scores, right)


def of_entities(answers: Sequence[Answer], *, plain: bool) -> Reliability:
    """Hold the scores of predicted entities, plain or as served, against gold's spans."""
    scores = [e.score for a in answers for e in (a.plain_entities if plain else a.entities)]
    right = [span in gold for a in answers for gold in [set(a.gold)] for span in a.predicted]
    return reliability(scores, right)


def _bin(place: int, scores: NDArray[np.float64], right: NDArray[np.float64]) -> Bin:
    low, high = place / NUM_BINS, (place + 1) / NUM_BINS
    return Bin(low, high, len(scores), float(scores.mean()), float(right.mean()))
