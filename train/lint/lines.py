"""Owns the checks of a labelled line by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serve.errors import DataError
from serve.examples import Span
from serve.limits import check_text
from train.formats.flat import Overlaps
from train.formats.record import Record, shown
from train.formats.words import off_border
from train.lint.finding import Finding, Rule, finding


def check_line(record: Record) -> Iterator[Finding]:
    """Yield why a text cannot be tagged, if it cannot."""
    try:
        check_text(record.text, 0)
    except DataError as error:
        yield finding(Rule.TEXT, record.place, str(error).partition(": ")[2])


def check_spans(
    record: Record, spans: Sequence[Span], offsets: Sequence[tuple[int, int]], overlaps: Overlaps
) -> Iterator[Finding]:
    """Yield what is wrong with the spans of a text that can be tagged.

    Args:
        record: The line.
        spans: Its spans, each once.
        offsets: Character offsets of its words. Shape: (W, 2)
        overlaps: What becomes of overlapping spans: where the longest stays, they are no error.
    """
    inside = [span for span in spans if 0 <= span.start < span.end <= len(record.text)]
    for span in spans:
        if not 0 <= span.start < span.end <= len(record.text):
            yield finding(
                Rule.OUTSIDE,
                record.place,
                f"expected 0 <= start < end <= {len(record.text)}, got start {span.start} and "
                f"end {span.end} for {span.label}",
            )
    yield from _overlaps(record, sorted(inside), is_error=overlaps is Overlaps.REFUSE)
    for span in inside:
        yield from _borders(record, span, offsets)


def _overlaps(record: Record, spans: Sequence[Span], *, is_error: bool) -> Iterator[Finding]:
    """Yield each span that begins before one before it has ended, with the one that reaches on."""
    last = None
    for span in spans:
        if last and span.start < last.end:
            message = f"{_named(record, span)} overlaps {_named(record, last)}"
            yield finding(Rule.OVERLAP, record.place, message, is_error=is_error)
        if last is None or span.end > last.end:
            last = span


def _borders(record: Record, span: Span, offsets: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    text = record.text[span.start : span.end]
    if text != text.strip():
        yield finding(Rule.BLANK, record.place, _named(record, span))
    elif off_border(span, offsets):
        around = record.text[max(0, span.start - 10) : span.end + 10]
        yield finding(Rule.BORDER, record.place, f"{_named(record, span)} in {shown(around)}")


def _named(record: Record, span: Span) -> str:
    return f"{shown(record.text[span.start : span.end])} for {span.label}"
