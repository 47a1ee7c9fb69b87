"""Owns which lengths and batches are measured, and the inputs of each: seeded random token ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serve.encoding import EncodedBatch

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
BATCH_SIZES = (1, 8, 32)
MAX_BATCH_TOKENS = 2048
"""Bounds a cell: PyTorch takes some 2.5 s for so many tokens of a BERT-base on two cores."""
WORDS = tuple(f"part{number}" for number in range(1000))
"""What the texts are made of."""
TEXT_WORDS = (8, 32, 128, 256, 512, 1024, 1536, 2048)
"""Lengths of the texts whose cost must grow linearly; the longest stays below 20,000 characters."""
SEED = 1


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid.

    Attributes:
        num_tokens: T, tokens of each line.
        batch_size: B, lines that run together.
    """

    num_tokens: int
    batch_size: int


def cells(max_tokens: int, *, max_batch_tokens: int = MAX_BATCH_TOKENS) -> list[Cell]:
    """Return the grid of a model that takes `max_tokens`, bounded by the tokens of a batch."""
    return [
        Cell(num_tokens, batch_size)
        for batch_size in BATCH_SIZES
        for num_tokens in lengths(max_tokens)
        if num_tokens * batch_size <= max_batch_tokens
    ]


def lengths(max_tokens: int) -> list[int]:
    """Return the lengths a model takes, in tokens."""
    return [length for length in LENGTHS if length <= max_tokens]


def random_batch(cell: Cell, vocab_size: int) -> EncodedBatch:
    """Return a batch without padding, the same one each time."""
    shape = (cell.batch_size, cell.num_tokens)
    input_ids = np.random.default_rng([SEED, *shape]).integers(0, vocab_size, shape)
    return EncodedBatch(input_ids.astype(np.int64), np.ones(shape, dtype=np.int64))


def random_text(num_words: int) -> str:
    """Return a text of so many words, the same one each time."""
    return " ".join(np.random.default_rng([SEED, num_words]).choice(WORDS, num_words).tolist())
