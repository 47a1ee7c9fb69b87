"""Owns the labelled line as a file has it, before anything is checked against anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve.errors import DataError
from serve.examples import Span, is_label

Row = tuple[str, object]
"""A piece of a file and where it stands; a DataError in its place where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled line.

    Attributes:
        place: Where it stands: file and line, or file and JSON path.
        text: The text.
        spans: Its spans in the order of the file; they may overlap or leave the text.
        tags: The tags of its words, where the file has such.
        fields: What else the file says about it, by name.
        is_disputed: Whether it was labelled more than once, and not in the same way.
    """

    place: str
    text: str
    spans: tuple[Span, ...]
    tags: tuple[str, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    is_disputed: bool = False


def shown(value: object) -> str:
    """Return how a value is named in a message: in short, and unable to steer a terminal.

    Letters of any script stay as they are; what is not printable is escaped.
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def span_of(start: object, end: object, label: object, at: str = "") -> Span:
    """Return a span of values that came from outside; `at` says where, within their row.

    Raises:
        ValueError: If the offsets are no numbers, or the label is none that a tag can hold.
    """
    if type(start) is not int or type(end) is not int:
        got = f"{shown(start)} and {shown(end)}"
        raise ValueError(
            f"expected whole numbers as start and end{at and f' at {at}'}, got {got}; "
            "count characters, from 0"
        )
    if not isinstance(label, str) or not is_label(label):
        raise ValueError(
            f"expected a label of printable characters{at and f' at {at}'}, no blank at its ends, "
            f"got {shown(label)}; rename it"
        )
    return Span(start, end, label)


def told(place: str, error: Exception) -> DataError:
    """Return an error of a piece of a file with its place in front."""
    if isinstance(error, RecursionError):
        error = ValueError("expected a few levels of lists and objects, got too many; flatten it")
    return DataError(f"{place}: {error}")
