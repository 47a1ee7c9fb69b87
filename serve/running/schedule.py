"""Owns which windows run together, so that an answer depends on its own text only.

Two ways:
* *bucketed*: windows of equal padded length run together, up to a number of tokens at once. A
  text's padded length is its own, see `bucket_of`.
* *alone*: every window by itself, unpadded. For graphs that quantize a whole tensor with one scale
  (dynamic INT8), where a neighbour or padding would change the answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve.encoding import EncodedText, Window, bucket_of

BATCH_TOKENS = 1024
"""Tokens that run together where nothing else bounds them."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedBatch:
    """Windows to run together.

    Attributes:
        windows: The windows. Shape: (B,)
        first_rows: For each window, the row of its first word among all texts' words. Shape: (B,)
        num_tokens: T, the length to pad to.
    """

    windows: list[Window]
    first_rows: list[int]
    num_tokens: int


def padded_length(window: Window, *, max_tokens: int, alone: bool) -> int:
    """Return the length a window is padded to, whichever windows it runs with."""
    length = len(window.input_ids)
    return length if alone else bucket_of(length, max_tokens)


def plan(
    encoded: Sequence[EncodedText],
    *,
    max_tokens: int,
    alone: bool,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[PlannedBatch]:
    """Yield batches that together hold every window of the texts once.

    Args:
        encoded: The texts.
        max_tokens: Longest sequence the model takes.
        alone: Whether every window runs by itself.
        batch_tokens: Most tokens of a batch, but for a single longer window.
    """
    by_length: dict[int, PlannedBatch] = defaultdict(lambda: PlannedBatch([], [], 0))
    first_row = 0
    for text in encoded:
        for window in text.windows:
            row = first_row + window.first_word
            num_tokens = padded_length(window, max_tokens=max_tokens, alone=alone)
            if alone:
                yield PlannedBatch([window], [row], num_tokens)
            else:
                batch = by_length[num_tokens]
                batch.windows.append(window)
                batch.first_rows.append(row)
        first_row += len(text.offsets)
    for num_tokens, batch in by_length.items():
        size = max(1, batch_tokens // num_tokens)
        for i in range(0, len(batch.windows), size):
            part = slice(i, i + size)
            yield PlannedBatch(batch.windows[part], batch.first_rows[part], num_tokens)
