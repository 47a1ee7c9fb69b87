"""Owns the table of texts: what the terminal and a page show alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from serve.display.columns import in_columns
from serve.display.render import printable


class Table(NamedTuple):
    """A table of texts.

    Attributes:
        head: One text a column.
        rows: As many texts each.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def aligned(table: Table) -> str:
    """Return a table for the terminal, its first column flush left and the others flush right."""
    lines = [list(map(printable, row)) for row in (table.head, *table.rows)]
    return "\n".join(in_columns(lines, flush_right_from=1))
