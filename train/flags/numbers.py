"""Owns the numbers that arguments may be: parsers for argparse, each with its bounds."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from serve.commands import number
from train.config import MAX_SEED


def at_least(minimum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from a minimum on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise ArgumentTypeError(f"expected a number of at least {minimum}, got {text}")
        return int(text)

    return parse


def seed(text: str) -> int:
    """Parse a seed.

    Raises:
        ArgumentTypeError: If it is no whole number from 0 to `MAX_SEED`.
    """
    value = at_least(0)(text)
    if value > MAX_SEED:
        raise ArgumentTypeError(f"expected a number of at most {MAX_SEED}, got {text}")
    return value


positive = number("a number above 0", lambda value: value > 0)
"""Parses a finite number above 0."""


def between(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of numbers within bounds, both included."""
    return number(f"a number from {low:g} to {high:g}", lambda value: low <= value <= high)
