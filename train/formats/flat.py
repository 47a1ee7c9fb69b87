"""Owns the way from a record to an example: its labels cut and mapped, and spans that overlap.

Policy: a label is a path of names (`PhysicalObject/Substance`), cut to its first so many. Labels
are mapped before spans are compared: one whose label is dropped is in no other's way. A tagger
gives each word one tag, so of overlapping spans one can stay. Either they are refused, or the
longest stays (of equal ones the first in the text, of those the first by name) and the others are
dropped, and counted. Spans that are equal once their labels are cut and mapped are one.
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
        label_map: New label of each old one, "" to drop its spans.
    """

    format: str | None = None
    label_level: int | None = None
    overlaps: Overlaps | None = None
    label_map: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Dropped:
    """What was dropped of a file's labels in favour of others.

    Attributes:
        num_spans: Spans that overlap longer ones.
        first: Place of the record of the first.
        num_disputed: Records of one annotation, from which others of the text differ.
        first_disputed: Place of the first.
    """

    num_spans: int = 0
    first: str = ""
    num_disputed: int = 0
    first_disputed: str = ""

    def note(self, record: Record, example: Example, reading: Reading) -> None:
        """Take in a record and the example that was made of it."""
        if num_dropped := len(mapped_spans(record, reading)) - len(example.spans):
            self.num_spans += num_dropped
            self.first = self.first or record.place
        if record.is_disputed:
            self.num_disputed += 1
            self.first_disputed = self.first_disputed or record.place

    def warn(self, path: Path) -> None:
        """Warn of them, if there are any."""
        if self.num_spans:
            logger.warning(
                "warning: %s: spans dropped that overlap a longer one: %d, the first at %s",
                path, self.num_spans, self.first,
            )  # fmt: skip
        if self.num_disputed:
            logger.warning(
                "warning: %s: texts with finished annotations that differ: %d, the first at %s; "
                "one of each is taken, python -m train convert --help says which",
                path, self.num_disputed, self.first_disputed,
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
    spans = mapped_spans(record, reading)
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


def mapped_spans(record: Record, reading: Reading) -> list[Span]:
    """Return a record's spans with the labels they are trained on.

    Each comes once, in the order of the file, so that the first that is wrong is told.
    """
    new = dict(reading.label_map)
    spans = (Span(s.start, s.end, new.get(s.label, s.label)) for s in record.spans)
    return list(dict.fromkeys(span for span in spans if span.label))


def at_level(span: Span, label_level: int | None) -> Span:
    """Return a span with its label cut to so many names of its path; 0 or None for all."""
    if not label_level:
        return span
    return Span(
        span.start, span.end, "/".join(span.label.split("/")[:label_level]).strip() or span.label
    )


def longest(spans: Iterable[Span]) -> list[Span]:
    """Return in order those spans that stay when of overlapping ones the longest does."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span)):
        place = bisect_left(kept, span)
        before, after = kept[max(0, place - 1) : place], kept[place : place + 1]
        if all(s.end <= span.start for s in before) and all(span.end <= s.start for s in after):
            kept.insert(place, span)
    return kept
