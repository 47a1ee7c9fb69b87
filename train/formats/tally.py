"""Owns the count of what was written of labelled lines, and of what could not be."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from serve.examples import Example
from train.formats.fields import MOST_SHOWN
from train.formats.record import Record

logger = logging.getLogger(__name__)


_READ = frozenset({"text", "spans", "entities", "label", "labels", "tokens", "id", "answer"})
"""What a row of spans says in other words too, or for its tool alone."""


class Fields:
    """The fields of lines that go into no file: only texts and labels do."""

    def __init__(self) -> None:
        """Begin with none."""
        self._names: dict[str, None] = {}

    def note(self, record: Record) -> None:
        """Take what a line says besides, such as its machine or time."""
        self._names |= dict.fromkeys(_left_out(record))

    def warn(self, path: Path) -> None:
        """Warn of what was left out."""
        if self._names:
            names = ", ".join(list(self._names)[:MOST_SHOWN])
            logger.warning(
                "warning: %s: fields left out, as only texts and labels are written: %s",
                path, names,
            )  # fmt: skip


def _left_out(record: Record) -> Iterator[str]:
    """Yield the names of fields that are a user's own, not a tool's."""
    fields, data = record.fields, record.fields.get("data")
    if isinstance(fields.get("text"), str):  # a row of spans
        yield from (name for name in fields if name not in _READ and not name.startswith("_"))
    elif isinstance(data, dict):  # a task, which has much of its tool beside them
        yield from (f"data.{name}" for name, value in data.items() if value != record.text)
    elif fields.get("document"):  # of brat's, or 0 before the first -DOCSTART- of columns
        yield "document"


@dataclass(slots=True)
class Tally:
    """What became of lines on their way into a file.

    Attributes:
        num_lines: Lines written.
        num_spans: Spans written.
        num_blank: Lines without words, left out.
        num_widened: Spans written that were widened to whole words.
        num_lost: Spans left out, as another has their words or there are none.
        num_joined: Spans made one with the span before, which the format cannot part from them.
    """

    num_lines: int = 0
    num_spans: int = 0
    num_blank: int = 0
    num_widened: int = 0
    num_lost: int = 0
    num_joined: int = 0

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        """Return the sums of several."""
        return cls(*map(sum, zip(*map(astuple, tallies), strict=True)))

    def add(self, example: Example, written: Example | None, num_joined: int) -> None:
        """Take in an example, what is written of it (None where nothing is), and joined spans."""
        spans = written.spans if written else ()
        self.num_lines += written is not None
        self.num_blank += written is None
        self.num_spans += len(spans) - num_joined
        self.num_joined += num_joined
        self.num_widened += len(set(spans).difference(example.spans))
        self.num_lost += len(example.spans) - len(spans)

    def warn(self, path: Path) -> None:
        """Warn of what did not go into a file or folder as it was."""
        for num, what in (
            (self.num_blank, "lines without words left out"),
            (self.num_widened, "spans widened to whole words"),
            (self.num_lost, "spans left out that have no word to themselves"),
            (self.num_joined, "spans made one with the span before, of the same label"),
        ):
            if num:
                logger.warning("warning: %s: %d %s", path, num, what)
