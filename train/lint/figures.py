"""Owns what a part of a corpus holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from serve.examples import Span


@dataclass(slots=True)
class Figures:
    """What one file holds.

    Attributes:
        part: Its part of the corpus: train, dev, test, or the file's name.
        path: The file.
        format: Name of its format.
        num_lines: Lines that could be read.
        num_words: Their words.
        num_bare: Lines without a span.
        num_repeated: Lines whose text stood before, in this file or another.
        labels: Spans of each label.
        lengths: Lines of each number of words.
    """

    part: str
    path: str
    format: str
    num_lines: int = 0
    num_words: int = 0
    num_bare: int = 0
    num_repeated: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)

    def add(self, num_words: int, spans: Sequence[Span]) -> None:
        """Count a line's words, and whether it has spans."""
        self.num_words += num_words
        self.num_bare += not spans
        self.lengths[num_words] += 1


def binned(lengths: Counter[int]) -> dict[str, int]:
    """Return how many lines have 0, 1, 2, 3-4, 5-8, 9-16 and so on words, no gaps between."""
    if not lengths:
        return {}
    bins = {"0": lengths[0]}
    low, high = 1, 1
    while low <= max(lengths):
        name = str(low) if low == high else f"{low}-{high}"
        bins[name] = sum(num for length, num in lengths.items() if low <= length <= high)
        low, high = high + 1, 2 * high
    if not bins["0"]:
        del bins["0"]
    return bins
