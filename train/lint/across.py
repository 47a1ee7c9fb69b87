"""Owns the checks of lines against each other: conflicts, leaks, labels that train lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve.examples import Span, fold
from train.corpus.data import RARE
from train.formats.record import Record, shown
from train.lint.figures import Figures
from train.lint.finding import Finding, Rule, finding

TRAIN, DEV = "train", "dev"
Labelled = tuple[tuple[str, str], ...]
"""The labelled texts of a line, each with its label."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a text stood first, in which part, and how it was labelled."""

    place: str
    part: str
    labelled: Labelled


class Memory:
    """Remembers every text, so that the next ones can be compared."""

    def __init__(self) -> None:
        self._texts: dict[str, _Seen] = {}
        self._first_of_label: dict[tuple[str, str], str] = {}

    def note_labels(self, figures: Figures, record: Record, spans: Sequence[Span]) -> None:
        """Count a line's labels, be its text too long to be read, and note where they stand."""
        for span in spans:
            figures.labels[span.label] += 1
            self._first_of_label.setdefault((figures.part, span.label), record.place)

    def check(self, figures: Figures, record: Record, spans: Sequence[Span]) -> Iterator[Finding]:
        """Yield how a line differs from one with the same text before it, and take it in.

        Texts are the same that differ in case and blanks only.
        """
        part, text = figures.part, fold(record.text)
        labelled = tuple((record.text[s.start : s.end], s.label) for s in sorted(spans))
        seen = self._texts.setdefault(text, _Seen(record.place, part, labelled))
        if seen.place == record.place:
            return
        figures.num_repeated += 1
        if seen.part != part:
            yield finding(Rule.LEAK, record.place, f"{shown(record.text)} is at {seen.place} too")
        if _folded(seen.labelled) != _folded(labelled):
            how = _difference(labelled, seen.labelled)
            message = f"{shown(record.text)} is at {seen.place} too: {how}"
            yield finding(Rule.CONFLICT, record.place, message)

    def check_labels(self, labels: Counter[str]) -> Iterator[Finding]:
        """Yield the labels of other parts that train has not, and those it has too few of.

        Args:
            labels: Spans of each label in train.
        """
        for (_, label), place in self._first_of_label.items():
            if label not in labels:
                message = f"expected a label that train has, got {label}"
                yield finding(Rule.UNKNOWN, place, message)
        for label, num in sorted(labels.items()):
            if num < RARE:
                place = self._first_of_label[TRAIN, label]
                yield finding(
                    Rule.RARE, place, f"expected {RARE} spans of {label} or more, got {num}"
                )


def _difference(here: Labelled, there: Labelled) -> str:
    """Return what only one of two lines of the same text has."""
    parts = [f"{shown(text)} is {label} here only" for text, label in _without(here, there)]
    parts += [f"{shown(text)} is {label} there only" for text, label in _without(there, here)]
    return ", ".join(parts) or "the same labels on other words"


def _without(some: Labelled, others: Labelled) -> list[tuple[str, str]]:
    """Return what only the first has, as it is written there."""
    left, found = Counter(_folded(others)), []
    for written, key in zip(some, _folded(some), strict=True):
        if left[key]:
            left[key] -= 1
        else:
            found.append(written)
    return sorted(found)


def _folded(labelled: Labelled) -> list[tuple[str, str]]:
    return [(fold(text), label) for text, label in labelled]
