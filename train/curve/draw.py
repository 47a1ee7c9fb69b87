"""Owns which lines a run trains on.

The lines of a draw are nested: those of a smaller size are among those of a larger one, so that the
steps of a curve are not the luck of other lines. Every run knows the labels of all train lines,
since who labels few lines has decided on the labels before.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from train.corpus.data import Corpus


def drawn_rows(num_all: int, num_lines: int, draw: int) -> list[int]:
    """Return the rows of a draw of that many lines, in the order they were drawn."""
    return random.Random(draw).sample(range(num_all), num_all)[:num_lines]


def part_of(corpus: Corpus, rows: Sequence[int]) -> Corpus:
    """Return a corpus with some of its train lines, without test."""
    train = corpus.train
    part = replace(
        train,
        places=tuple(train.places[row] for row in rows),
        examples=tuple(train.examples[row] for row in rows),
    )
    return replace(corpus, train=part, test=None)
