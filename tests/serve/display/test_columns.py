"""Columns stand under one another, whatever a terminal takes for a text."""

from __future__ import annotations

import pytest

from serve.display.columns import in_columns, text_width


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("", 0),
        ("pump", 4),
        ("\u96f6\u4ef6", 4),  # two characters of Chinese
        ("\u30dd\u30f3\u30d7", 6),
        ("\uff8e\uff9f", 2),  # half-width
        ("e\u0301tat", 4),  # an accent of its own
        ("\u0e1b\u0e31\u0e4a\u0e21", 2),  # Thai, vowel and tone above
        ("a\u200bb", 2),
        ("\U0001f527", 2),
    ],
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text: str, width: int) -> None:
    assert text_width(text) == width


def test_cells_of_a_column_begin_or_end_under_one_another() -> None:
    rows = [("label", "text", "n"), ("Item", "\u96f6\u4ef6", "10"), ("A", "e\u0301", "")]
    assert in_columns(rows) == ["label  text  n", "Item   \u96f6\u4ef6  10", "A      e\u0301"]
    right = ["label  text   n", "Item   \u96f6\u4ef6  10", "A         e\u0301"]
    assert in_columns(rows, flush_right_from=1) == right
