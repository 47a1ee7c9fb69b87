"""Owns the way from a record to an example: the level of its labels, and spans that overlap.

Policy: a label is a path of names (`PhysicalObject/Substance`), cut to its first so many. A tagger
gives each word one tag, so of overlapping spans one can stay. Either they are refused, or the
longest stays (of equal ones the first in the text, of those the first by name) and the others are
dropped, and counted. Spans that are equal once their labels are cut are one.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example, Span
from serve.limits import check_text
from train.formats.record import Record

logger = logging.getLogger(__name__)


class Overlaps(StrEnum):
    """What becomes of spans that overlap."""

    REFUSE = "refuse"
    LONGEST = "longest"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files are read where they leave a choice.

    Attributes:
        format: Name of the format; None to find out.
        label_level: How many names of a label's path to keep, 0 for all; None for the format's own.
        overlaps: What becomes of overlapping spans; None for the format's own.
    """

    format: str | None = None
    label_level: int | None = None
    overlaps: Overlaps | None = None


@dataclass(slots=True)
class Dropped:
    """The spans of a file that were dropped as they overlap longer ones.

    Attributes:
        num_spans: How many.
        first: Place of the record of the first.
    """

    num_spans: int = 0
    first: str = ""

    def note(self, record: Record, example: Example, label_level: int | None) -> None:
        """Take in a record and the example that was made of it."""
        num_read = len({at_level(span, label_level) for span in record.spans})
        if num_dropped := num_read - len(example.spans):
            self.num_spans += num_dropped
            self.first = self.first or record.place

    def warn(self, path: Path) -> None:
        """Warn of them, if there are any."""
        if self.num_spans:
            logger.warning(
                "warning: %s: %d spans dropped that overlap a longer one, the first at %s",
                path, self.num_spans, self.first,
            )  # fmt: skip


def flat_example(record: Record, reading: Reading) -> Example:
    """Return a record as an example.

    Raises:
        DataError: If the text cannot be tagged, or a span does not fit it.
    """
    try:
        check_text(record.text, 0)
    except DataError as error:
        raise DataError(f"{record.place}: {str(error).partition(': ')[2]}") from error
    # Each once, in the order of the file, so that the first that is wrong is told.
    spans = list(dict.fromkeys(at_level(span, reading.label_level) for span in record.spans))
    try:
        for span in spans:
            Example(record.text, (span,))
        flat = longest(spans) if reading.overlaps is Overlaps.LONGEST else sorted(spans)
    except ValueError as error:
        raise DataError(f"{record.place}: {error}; correct its offsets") from error
    try:
        return Example(record.text, tuple(flat))
    except ValueError as error:
        remedy = "--overlaps longest keeps the longest of them"
        raise DataError(f"{record.place}: {error}; {remedy}") from error


def at_level(span: Span, label_level: int | None) -> Span:
    """Return a span with its label cut to so many names of its path; 0 or None for all."""
    if not label_level:
        return span
    return Span(span.start, span.end, "/".join(span.label.split("/")[:label_level]) or span.label)


def longest(spans: Iterable[Span]) -> list[Span]:
    """Return in order those spans that stay when of overlapping ones the longest does."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span)):
        place = bisect_left(kept, span)
        before, after = kept[max(0, place - 1) : place], kept[place : place + 1]
        if all(s.end <= span.start for s in before) and all(span.end <= s.start for s in after):
            kept.insert(place, span)
    return kept
