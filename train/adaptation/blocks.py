"""Owns packing: short lines side by side in blocks of one size, so that hardly anything is padding.

A line in a block is as if it were alone, which is how a tagger will read it: its positions count
from its own beginning, and its tokens see no others (`MaskedBatch.attention_mask`).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from serve.encoding import Window


@dataclass(frozen=True, slots=True, eq=False)
class TokenSequence:
    """A line, or a window of a long one, in four bytes a number: raw text is held whole.

    Attributes:
        input_ids: Token ids with the special tokens around them. Shape: (T,)
        word_ids: Word of each token, or `NO_WORD`. Shape: (T,)
    """

    input_ids: array[int]
    word_ids: array[int]


def sequence_of(window: Window) -> TokenSequence:
    """Return what is trained on of a window."""
    return TokenSequence(array("i", window.input_ids), array("i", window.word_ids))


def pack(sequences: Sequence[TokenSequence], block_tokens: int) -> list[list[TokenSequence]]:
    """Return sequences in blocks, in order but for those that fill up an earlier block.

    Args:
        sequences: None longer than a block.
        block_tokens: Most tokens of a block.
    """
    blocks: list[list[TokenSequence]] = []
    free: list[list[int]] = [[] for _ in range(block_tokens + 1)]  # open blocks by tokens left
    for sequence in sequences:
        length = len(sequence.input_ids)
        left = next((left for left in range(length, block_tokens + 1) if free[left]), None)
        if left is None:
            left = block_tokens
            free[left].append(len(blocks))
            blocks.append([])
        block = free[left].pop()
        blocks[block].append(sequence)
        free[left - length].append(block)
    return blocks
