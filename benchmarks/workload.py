"""Owns the lines that are measured on: where they come from, their order and their lengths."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from serve.encoding import Encoder
from serve.errors import DataError
from serve.examples import read_jsonl

SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is to be known of the lines.

    Attributes:
        name: Where they come from.
        num_lines: How many.
        seed: Of the order they are taken in.
        num_tokens: Number of lines of each length, in tokens with the special ones.
    """

    name: str
    num_lines: int
    seed: int
    num_tokens: dict[int, int]

    @property
    def median_tokens(self) -> float:
        """Median length of a line, in tokens."""
        return float(median(Counter(self.num_tokens).elements()))


def lines_of(checkpoint: Path) -> Path:
    """Return the file of a checkpoint's test lines, or of its dev lines where it has none."""
    test = checkpoint / "test.jsonl"
    return test if test.is_file() else checkpoint / "dev.jsonl"


def read_lines(path: Path) -> list[str]:
    """Return the texts of JSON lines in a seeded order.

    Raises:
        DataError: If the file cannot be read, is not as expected, or holds no line.
    """
    if not path.exists():
        raise DataError(
            f"{path}: expected JSON lines to measure on, got none; name some with --data"
        )
    lines = [example.text for example in read_jsonl(path)]
    if not lines:
        raise DataError(f"{path}: expected lines to measure on, got none; name others with --data")
    random.Random(SEED).shuffle(lines)
    return lines


def describe_lines(path: Path, lines: list[str], encoder: Encoder) -> Workload:
    """Return what is to be known of the lines of a file."""
    lengths = Counter(
        sum(len(window.input_ids) for window in text.windows) for text in encoder.encode(lines)
    )
    return Workload(
        name="/".join(path.parts[-2:]),
        num_lines=len(lines),
        seed=SEED,
        num_tokens=dict(sorted(lengths.items())),
    )
