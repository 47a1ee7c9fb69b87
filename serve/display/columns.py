"""Owns the columns of a terminal's tables: how wide a text is there, and rows side by side."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_GAP = "  "


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for what East Asia writes wide."""
    return sum(map(_char_width, text))


def in_columns(rows: Sequence[Sequence[str]], *, flush_right_from: int | None = None) -> list[str]:
    """Return rows as lines in which the cells of a column stand under one another.

    Args:
        rows: Cells of rows of one length.
        flush_right_from: The first column that is flush right, as all after it; None for none.
    """
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    first_right = len(widths) if flush_right_from is None else flush_right_from
    lines = []
    for row in rows:
        blanks = [" " * (width - text_width(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [
            blank + cell if number >= first_right else cell + blank
            for number, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        lines.append(_GAP.join(cells).rstrip())
    return lines


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):  # put on another, or not shown
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
