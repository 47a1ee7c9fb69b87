"""Owns the way from parsed JSON to a dataclass: every key there, none beside, each of its type.

Where another release may have written it, keys beside can be passed over.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def read_record(kind: type[Record], row: object, *, is_open: bool = False) -> Record:
    """Return a JSON object as a dataclass, its enums, tuples and inner dataclasses included.

    Args:
        kind: The dataclass.
        row: The object.
        is_open: Whether keys that the dataclass does not have are passed over.

    Raises:
        ValueError: Naming the key that is missing, unknown or not of its type.
    """
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, got {_shown(row)}")
    kinds = get_type_hints(kind)
    if is_open:
        row = {name: value for name, value in row.items() if name in kinds}
    if odd := sorted(kinds.keys() ^ row.keys()):
        raise ValueError(f"expected the keys {', '.join(kinds)}; {odd} are missing or unknown")
    return kind(**{name: _read(name, kinds[name], value, is_open) for name, value in row.items()})


def _read(name: str, kind: Any, value: object, is_open: bool) -> Any:  # noqa: ANN401
    inner = get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return read_record(kind, value, is_open=is_open)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_read(name, inner[0], item, is_open) for item in value)
    if get_origin(kind) is dict and isinstance(value, dict):
        return {key: _read(name, inner[1], item, is_open) for key, item in value.items()}
    if isinstance(kind, UnionType) and any(map(is_dataclass, inner)):  # a dataclass or None
        return None if value is None else _read(name, inner[0], value, is_open)
    plain = inner if isinstance(kind, UnionType) else (kind,)
    if type(value) in plain or (float in plain and type(value) is int):  # True is no number
        return value
    raise ValueError(
        f"expected {name} to be {getattr(kind, '__name__', kind)}, got {_shown(value)}"
    )


def _shown(value: object) -> str:
    return f"{value!r:.80}"
