"""Owns what tells a line of text from a labelled one, where text without labels is read."""

from __future__ import annotations

import json
from contextlib import suppress

from serve.errors import DataError


def check_raw(place: str, line: str) -> None:
    """Refuse a labelled line: its JSON would be learnt from as text, dev and test lines too.

    Args:
        place: File and line, for the error.
        line: The line.

    Raises:
        DataError: If it is a JSON object with a text.
    """
    if not line.startswith("{"):
        return
    with suppress(ValueError, RecursionError):
        row = json.loads(line)
        if isinstance(row, dict) and isinstance(row.get("text"), str):
            raise DataError(
                f"{place}: expected a line of text, got JSON with a text in it; write the texts "
                "alone, one a line"
            )
