"""Owns whether a difference of F1 between two taggers is more than chance.

Approximate randomization (Noreen 1989; Yeh 2000 for F1): if the taggers were equally good, either
could have given either answer to a line. So answers are swapped text by text at random, and the
p-value is the share of such shuffles whose difference is as large as the one seen. Lines of one
text are swapped together: a tagger answers them alike, so that they are evidence once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve.bootstrap import F1Change, Spans, f1_changes, f1_of, text_counts

NUM_SHUFFLES = 2000
_BLOCK = 100  # shuffles at once
_SEED = 21
_ROUNDING = 1e-12  # equal differences are equal whatever way they were summed up


@dataclass(frozen=True, slots=True)
class Difference:
    """F1 of one label, or of all together, with two taggers.

    Attributes:
        change: Both F1 and the interval of the loss.
        p_value: Chance of a difference as large, either way, between equally good taggers.
        num_apart: Texts whose two answers count differently; 0 where nothing is right with either
            tagger, so that F1 is 0 whoever gave which answer.
    """

    change: F1Change
    p_value: float
    num_apart: int

    @property
    def least_p_value(self) -> float:
        """The least p-value that so many texts can give: that of the answers as they are.

        It and the one with all answers swapped are as large; no other need be.
        """
        return min(1.0, 2.0 ** (1 - self.num_apart))


@dataclass(frozen=True, slots=True)
class Differences:
    """F1 with two taggers.

    Attributes:
        overall: Of all labels counted together.
        by_label: Of each label seen in gold or prediction, sorted by label.
    """

    overall: Difference
    by_label: dict[str, Difference]


def p_shown(p_value: float, num_digits: int) -> str:
    """Return a p-value with so many digits; never as 0, which none is."""
    least = 10.0**-num_digits
    return f"<{least:.{num_digits}f}" if p_value < least else f"{p_value:.{num_digits}f}"


def differences(
    gold: Spans,
    before: Spans,
    after: Spans,
    texts: Sequence[str],
    *,
    num_shuffles: int = NUM_SHUFFLES,
) -> Differences:
    """Compare two taggers' spans on the same lines; no p-value is below 1 / (1 + shuffles).

    Args:
        gold: Gold spans of each line.
        before: One tagger's.
        after: The other's.
        texts: Each line's text.
        num_shuffles: How often answers are swapped at random, a multiple of 100.
    """
    changes = f1_changes(gold, before, after, texts)
    every = [changes.overall, *changes.by_label.values()]
    labels = list(changes.by_label)
    first, second = (text_counts(gold, spans, labels, texts) for spans in (before, after))
    p_values = _p_values(first, second, num_shuffles).tolist()
    apart = _num_apart(first, second).tolist()
    overall, *found = map(Difference, every, p_values, apart)
    return Differences(overall, dict(zip(changes.by_label, found, strict=True)))


def _p_values(
    first: NDArray[np.int64], second: NDArray[np.int64], num_shuffles: int
) -> NDArray[np.float64]:
    """Return the p-values of two taggers' counts, in (0, 1]. Shape: (1 + labels,)."""
    seen = np.abs(f1_of(second.sum(axis=0)) - f1_of(first.sum(axis=0)))
    as_large = sum(
        (d >= seen - _ROUNDING).sum(axis=0) for d in _shuffled(first, second, num_shuffles)
    )
    return np.asarray((1 + as_large) / (1 + num_shuffles))


def _num_apart(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `Difference.num_apart` of all labels together and of each. Shape: (1 + labels,)."""
    any_right = (first + second)[..., 0].sum(axis=0) > 0
    return np.asarray((first != second).any(axis=-1).sum(axis=0) * any_right)


def _shuffled(
    first: NDArray[np.int64], second: NDArray[np.int64], num_shuffles: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the differences of shuffled answers, a block of shuffles at a time.

    Yields:
        Shape: (block, K)
    """
    draw = np.random.default_rng(_SEED)
    # What a swapped text adds to the first's sum; floats, see `serve.bootstrap.Counts`.
    swap = (second - first).reshape(len(first), -1).astype(np.float64)
    shape = (_BLOCK, *first.shape[1:])
    for _ in range(num_shuffles // _BLOCK):
        swapped = draw.integers(0, 2, size=(_BLOCK, len(first)))
        moved = (swapped.astype(np.float64) @ swap).reshape(shape)
        yield np.abs(f1_of(second.sum(axis=0) - moved) - f1_of(first.sum(axis=0) + moved))
