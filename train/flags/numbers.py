"""Owns the numbers that arguments may be: parsers for argparse, each with its bounds."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

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
    number = at_least(0)(text)
    if number > MAX_SEED:
        raise ArgumentTypeError(f"expected a number of at most {MAX_SEED}, got {text}")
    return number


def positive(text: str) -> float:
    """Parse a finite number above 0.

    Raises:
        ArgumentTypeError: If it is none.
    """
    value = _number(text)
    if not 0.0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def between(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of numbers within bounds, both included."""

    def parse(text: str) -> float:
        value = _number(text)
        if not low <= value <= high:
            raise ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text}")
        return value

    return parse


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # within no bounds
