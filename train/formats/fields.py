"""Owns what a file says about a line besides its labels: finding it by name, and times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from train.formats.record import Record, shown, told

MOST_SHOWN = 20
"""Fields that a message names."""


def field_of(record: Record, name: str) -> str | int | float:
    """Return a field's value.

    Args:
        record: The line.
        name: Of the field; `meta.site` is the field site in the field meta.

    Raises:
        DataError: If the line has no such field, or it holds no text or number.
    """
    value: object = record.fields
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if not isinstance(value, str | int | float):
        have = ", ".join(sorted(_paths(record.fields))[:MOST_SHOWN]) or "none"
        raise told(
            record.place,
            ValueError(
                f"expected a text or number in the field {name}, got {shown(value)}; "
                f"name one of its fields: {have}"
            ),
        )
    return value


def _paths(fields: Mapping[str, object], above: str = "") -> Iterator[str]:
    """Yield the names of the fields that hold a text or number, those within others too."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{name}.")
        elif isinstance(value, str | int | float):
            yield f"{above}{name}"


def seconds_of(record: Record, name: str) -> float:
    """Return the moment in a field: seconds since 1970, or ISO 8601, UTC unless it says otherwise.

    Raises:
        DataError: If the line has no such field, or it holds no moment.
    """
    value = field_of(record, name)
    try:
        if not isinstance(value, str):
            seconds = float(value)
            if not math.isfinite(seconds):
                raise ValueError
            return seconds
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        expected = f"expected seconds or an ISO 8601 time in the field {name}, got {shown(value)}"
        remedy = "write times such as 2024-05-31T06:00"
        raise told(record.place, ValueError(f"{expected}; {remedy}")) from error
