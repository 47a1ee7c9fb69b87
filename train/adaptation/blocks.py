"""Owns packing: short lines side by side in blocks of one size, so that hardly anything is padding.

A line in a block is as if it were alone, which is how a tagger will read it: its positions count
from its own beginning, and its tokens see no others (`MaskedBatch.attention_mask`).
"""

from __future__ import annotations

from collections.abc import Sequence

from serve.encoding import Window


def pack(windows: Sequence[Window], block_tokens: int) -> list[list[Window]]:
    """Return windows in blocks, in order but for those that fill up an earlier block.

    Args:
        windows: None longer than a block.
        block_tokens: Most tokens of a block.
    """
    blocks: list[list[Window]] = []
    free: list[list[int]] = [[] for _ in range(block_tokens + 1)]  # open blocks by tokens left
    for window in windows:
        length = len(window.input_ids)
        left = next((left for left in range(length, block_tokens + 1) if free[left]), None)
        if left is None:
            left = block_tokens
            free[left].append(len(blocks))
            blocks.append([])
        block = free[left].pop()
        blocks[block].append(window)
        free[left - length].append(block)
    return blocks
