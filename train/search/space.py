"""Owns the search space: which settings are looked through, and over which values.

It is a TOML file, so that it can be read, changed and recorded. A setting is any number, switch or
choice of `TrainConfig`; its values are a list, or a range `{ low, high }` with `log = true` for one
that is searched by factors, or `step` for whole steps.
"""

from __future__ import annotations

import math
import tomllib
from argparse import ArgumentError, ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from serve.errors import DataError
from train.config import TrainConfig
from train.flags.arguments import add_training_arguments

DEFAULT_SPACE = Path(__file__).with_name("space.toml")
NOT_SEARCHED = frozenset({"seed", "resume", "json", "save_every_s", "label_level", "overlaps"})
"""Settings that make no model better, or are of the lines, which all trials have in common."""

_RANGE = frozenset({"low", "high", "log", "step"})

Value = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that takes one of some values."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A setting that takes any number of a range.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Whether factors count, not differences.
        step: Distance of the values from each other; None for any value between.
        whole: Whether the setting is a whole number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False


Space = Mapping[str, Choice | Range]


def read_space(path: Path) -> Space:
    """Read a search space.

    Raises:
        DataError: Naming the file and the setting, if it is not of that form or not a setting that
            can be searched.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: expected TOML, got {error}") from error
    if not rows:
        raise DataError(f"{path}: expected a setting to search, got none; see {DEFAULT_SPACE}")
    types = searchable()
    space: dict[str, Choice | Range] = {}
    for name, row in rows.items():
        if name not in types:
            have = ", ".join(sorted(types))
            raise DataError(f"{path}: {name}: expected one of the settings {have}")
        try:
            space[name] = _dimension(row, types[name])
            _check_bounds(name, space[name])
        except (ValueError, ArgumentError) as error:
            raise DataError(f"{path}: {name}: {error}") from error
    return space


def space_json(space: Space) -> dict[str, dict[str, Any]]:
    """Return a space as JSON, the same for the same space."""
    return {name: asdict(dimension) for name, dimension in sorted(space.items())}


def searchable() -> dict[str, type]:
    """Return the settings that can be searched, and the type of each."""
    found: dict[str, type] = {}
    for name, hint in get_type_hints(TrainConfig).items():
        kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
        is_value = len(kinds) == 1 and isinstance(kinds[0], type)
        if is_value and issubclass(kinds[0], bool | int | float | StrEnum):
            found[name] = kinds[0]
    return {name: kind for name, kind in found.items() if name not in NOT_SEARCHED}


def _check_bounds(name: str, dimension: Choice | Range) -> None:
    """Ask the parser of fine-tuning whether it would take the values.

    Raises:
        ArgumentError: Naming its flag, if not.
    """
    if isinstance(dimension, Range):
        dimension = Choice((dimension.low, dimension.high))
    parser = ArgumentParser(exit_on_error=False)
    add_training_arguments(parser)
    for value in dimension.values:
        if not isinstance(value, bool):  # a switch
            parser.parse_args([f"--{name.replace('_', '-')}={value}"])


def _dimension(row: object, kind: type) -> Choice | Range:
    if isinstance(row, list) and row:
        return Choice(tuple(_value(value, kind) for value in row))
    if not isinstance(row, dict) or not {"low", "high"} <= row.keys() <= _RANGE:
        raise ValueError(f"expected a list of values or a range {{ low, high }}, got {row!r}")
    if kind is bool or not issubclass(kind, int | float):
        raise ValueError(f"expected a list of values, got the range {row!r}")
    low, high = _value(row["low"], kind), _value(row["high"], kind)
    return _range(low, high, row.get("log", False), row.get("step"), kind)


def _range(low: Value, high: Value, log: object, step: Any, kind: type) -> Range:  # noqa: ANN401
    if not isinstance(log, bool):
        raise ValueError(f"expected log = true or false, got {log!r}")
    assert not isinstance(low, str)
    assert not isinstance(high, str)  # for the type checker: the setting is a number
    if not low < high:
        raise ValueError(f"expected low below high, got {low} and {high}")
    if log and (low <= 0 or step is not None):
        raise ValueError("expected low above 0 and no step for a range with log = true")
    if step is not None and not 0 < float(_value(step, kind)) <= high - low:
        raise ValueError(f"expected a step above 0 and at most {high - low}, got {step}")
    return Range(low, high, log, step, whole=issubclass(kind, int))


def _value(value: object, kind: type) -> Value:
    """Return a value as a setting's type takes it.

    Raises:
        ValueError: If it is of another type.
    """
    if issubclass(kind, StrEnum) and isinstance(value, str):
        return kind(value)  # says itself which there are not
    right = kind is type(value) or (kind is float and type(value) is int)
    if not right or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected values of type {kind.__name__}, got {value!r}")
    return kind(value)  # type: ignore[no-any-return]
