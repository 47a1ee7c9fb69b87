"""Owns the measures of drift: numbers of two sets of lines, each taken from sums over their lines.

A measure is a function of the sums of either set, so that chance can be tried out by dealing the
lines anew, a thousand times in one matrix product (see `train.drift.chance`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Sums = NDArray[np.float64]
"""Sums over the lines of a set, a column a figure. Shape: (draws, columns)"""
_SMOOTHING = 0.5  # of counts whose logarithm is taken: no label is impossible


class Column(IntEnum):
    """Columns of a line's figures, by number; its entities by label and its words come after."""

    LINES = 0
    WORDS = 1
    UNSEEN_WORDS = 2
    TOKENS = 3
    UNSEEN_TOKENS = 4
    UNKNOWN_TOKENS = 5
    SCORE = 6
    ENTITIES = 7


class Direction(StrEnum):
    """Which change is drift."""

    HIGHER = "higher"
    LOWER = "lower"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a line's figures stand.

    Attributes:
        labels: Labels, each a column.
        words: Words, each a column; the last one stands for all rarer ones.
    """

    labels: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def label_columns(self) -> slice:
        """Where the counts of labels stand."""
        return slice(len(Column), len(Column) + len(self.labels))

    @property
    def word_columns(self) -> slice:
        """Where the counts of words stand."""
        start = self.label_columns.stop
        return slice(start, start + len(self.words))


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of two sets of lines.

    Attributes:
        name: What it is called.
        direction: Which change is drift.
        value: Of one set, where there is such a thing. Shape: (draws, columns) to (draws,)
        distance: Between two sets, at least 0, for what only exists between them.
    """

    name: str
    direction: Direction
    value: Callable[[Sums], NDArray[np.float64]] | None = None
    distance: Callable[[Sums, Sums], NDArray[np.float64]] | None = None

    def change(self, reference: Sums, new: Sums) -> NDArray[np.float64]:
        """Return how far new lines are from the reference; larger is worse. Shape: (draws,)."""
        if self.distance is not None:
            return self.distance(reference, new)
        assert self.value is not None
        difference = self.value(new) - self.value(reference)
        if self.direction is Direction.EITHER:
            return np.abs(difference)
        return difference if self.direction is Direction.HIGHER else -difference


def measures(layout: Layout) -> tuple[Measure, ...]:
    """Return all measures: three of vocabulary, one of words, one of scores, two of entities."""
    words, labels = layout.word_columns, layout.label_columns
    return (
        Measure("unseen words", Direction.HIGHER, _share(Column.UNSEEN_WORDS, Column.WORDS)),
        Measure("unseen tokens", Direction.HIGHER, _share(Column.UNSEEN_TOKENS, Column.TOKENS)),
        Measure("unknown tokens", Direction.HIGHER, _share(Column.UNKNOWN_TOKENS, Column.TOKENS)),
        Measure(
            "words, Jensen-Shannon (bits)",
            Direction.HIGHER,
            distance=lambda a, b: jensen_shannon(a[:, words], b[:, words]),
        ),
        Measure("mean score", Direction.LOWER, _share(Column.SCORE, Column.WORDS)),
        Measure("entities a line", Direction.EITHER, _share(Column.ENTITIES, Column.LINES)),
        Measure(
            "labels, PSI",
            Direction.HIGHER,
            distance=lambda a, b: stability_index(a[:, labels], b[:, labels]),
        ),
    )


def jensen_shannon(some: Sums, others: Sums) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence of two distributions, in bits, in [0, 1].

    Args:
        some: Counts. Shape: (draws, K)
        others: Likewise.
    """
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (some, others))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2
    return np.asarray(nats / np.log(2))


def stability_index(some: Sums, others: Sums) -> NDArray[np.float64]:
    """Return the population stability index of two distributions, in nats; 0 where they are equal.

    Args:
        some: Counts. Shape: (draws, K)
        others: Likewise.
    """
    p, q = (
        (counts + _SMOOTHING) / (counts + _SMOOTHING).sum(axis=1, keepdims=True)
        for counts in (some, others)
    )
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def _share(part: Column, whole: Column) -> Callable[[Sums], NDArray[np.float64]]:
    def share(sums: Sums) -> NDArray[np.float64]:
        return np.asarray(sums[:, part] / np.maximum(sums[:, whole], 1))

    return share
