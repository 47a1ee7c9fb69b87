"""Owns which predicted entity answers to which gold one, and what is wrong with it.

Policy: equal spans belong together first; then, among spans that share a character, those that
share most, one to one. What is left of gold was missed, what is left of the prediction is spurious.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from serve.examples import Span
from train.evaluation.answers import Answer


class Kind(StrEnum):
    """What became of an entity."""

    RIGHT = "right"
    BORDERS = "right label, wrong borders"
    LABEL = "right borders, wrong label"
    BOTH = "wrong label and borders"
    MISSED = "missed"
    SPURIOUS = "spurious"


@dataclass(frozen=True, slots=True)
class Pair:
    """A gold entity and the predicted one that answers to it.

    Attributes:
        gold: None where the prediction is spurious.
        predicted: None where gold was missed.
    """

    gold: Span | None
    predicted: Span | None

    @property
    def kind(self) -> Kind:
        """What is wrong, if anything."""
        if self.gold is None or self.predicted is None:
            return Kind.SPURIOUS if self.gold is None else Kind.MISSED
        same_label = self.gold.label == self.predicted.label
        if (self.gold.start, self.gold.end) == (self.predicted.start, self.predicted.end):
            return Kind.RIGHT if same_label else Kind.LABEL
        return Kind.BORDERS if same_label else Kind.BOTH


def pair_up(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Pair]:
    """Return each gold and each predicted span once, alone or in a pair, in the text's order.

    Args:
        gold: Disjoint spans in the order of the text.
        predicted: Likewise.
    """
    pairs: list[Pair] = []
    free_gold, free_predicted = set(gold), set(predicted)
    for one, other in sorted(_overlaps(gold, predicted), key=_closeness):
        if one in free_gold and other in free_predicted:
            free_gold.remove(one)
            free_predicted.remove(other)
            pairs.append(Pair(one, other))
    pairs += [Pair(span, None) for span in free_gold]
    pairs += [Pair(None, span) for span in free_predicted]
    return sorted(pairs, key=lambda pair: pair.gold or pair.predicted or Span(0, 0, ""))


def kinds(answers: Sequence[Answer]) -> dict[Kind, int]:
    """Return how many pairs there are of each kind."""
    counts = Counter(pair.kind for a in answers for pair in pair_up(a.gold, a.predicted))
    return {kind: counts[kind] for kind in Kind}


def confusion(answers: Sequence[Answer]) -> dict[tuple[str | None, str | None], int]:
    """Return how often gold's label became which, whatever the borders.

    Returns:
        Counts by gold label (None: spurious) and predicted label (None: missed).
    """
    return Counter(
        (
            pair.gold.label if pair.gold else None,
            pair.predicted.label if pair.predicted else None,
        )
        for answer in answers
        for pair in pair_up(answer.gold, answer.predicted)
    )


def _overlaps(gold: Sequence[Span], predicted: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield the pairs that share a character: no more than there are spans, for they are sorted."""
    i = j = 0
    while i < len(gold) and j < len(predicted):
        if gold[i].start < predicted[j].end and predicted[j].start < gold[i].end:
            yield gold[i], predicted[j]
        if gold[i].end <= predicted[j].end:
            i += 1
        else:
            j += 1


def _closeness(pair: tuple[Span, Span]) -> tuple[int, int, int, bool, Span]:
    """Return what the best pair has least of: differing borders, unshared and other labels."""
    gold, predicted = pair
    shared = min(gold.end, predicted.end) - max(gold.start, predicted.start)
    off = abs(gold.start - predicted.start) + abs(gold.end - predicted.end)
    return min(off, 1), -shared, off, gold.label != predicted.label, gold
