"""Owns the lines memory is measured on: lengths from one word to hundreds, in batches of any size.

They are made as they are needed, from a seed, so that they themselves take no memory.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

WORDS = ("replace", "leaking", "hydraulic", "pump", "hose", "engine", "on", "the", "left", "12")
BATCH_SIZES = (1, 2, 8, 32)
MAX_WORDS = 256
LONG_WORDS = 2000
"""Of one line in a thousand, which takes several windows."""
SEED = 1


def batches(num_lines: int) -> Iterator[list[str]]:
    """Yield so many lines, in batches of mixed sizes.

    A line's number of words is as often from 1 to 2 as from 128 to 256: memory is bounded by the
    variety of shapes, which is larger so than on real lines.
    """
    choose = random.Random(SEED)
    left = num_lines
    while left:
        size = min(choose.choice(BATCH_SIZES), left)
        yield [_line(choose) for _ in range(size)]
        left -= size


def _line(choose: random.Random) -> str:
    if choose.random() < 1e-3:
        return " ".join(choose.choices(WORDS, k=LONG_WORDS))
    return " ".join(choose.choices(WORDS, k=int(MAX_WORDS ** choose.random())))
