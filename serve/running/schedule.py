"""Owns which windows run together, so that an answer depends on its own text only.

Three ways:
* *bucketed*: windows of equal padded length run together, up to a number of tokens at once. A
  text's padded length is its own, see `bucket_of`.
* *alone*: every window by itself, unpadded. For graphs that quantize a whole tensor with one scale
  (dynamic INT8), where a neighbour or padding would change the answer.
* *mixed*: windows of any lengths together. For packed graphs, which compute no padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from serve.encoding import EncodedText, Window, bucket_of

BATCH_TOKENS = 1024
"""Tokens that run together where nothing else bounds them."""
GPU_TOKENS = 16 * BATCH_TOKENS
"""The same on a GPU, which is idle on few: 32 texts of 512 tokens."""


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
    alone: bool = False,
    mixed: bool = False,
    batch_tokens: int = BATCH_TOKENS,
) -> Iterator[PlannedBatch]:
    """Yield batches that together hold every window of the texts once.

    Args:
        encoded: The texts.
        max_tokens: Longest sequence the model takes.
        alone: Whether every window runs by itself.
        mixed: Whether windows of any lengths run together, the shorter ones first.
        batch_tokens: Most tokens of a batch, padding included, but for a single longer window.
    """
    placed = list(_placed(encoded, max_tokens=max_tokens, alone=alone))
    if not alone:
        placed.sort(key=lambda window: window.num_tokens)
    batch: list[_Placed] = []
    for window in placed:
        length = window.num_tokens
        is_other = bool(batch) and not mixed and length != batch[-1].num_tokens
        if batch and (alone or is_other or (len(batch) + 1) * length > batch_tokens):
            yield _joined(batch)
            batch = []
        batch.append(window)
    if batch:
        yield _joined(batch)


class _Placed(NamedTuple):
    window: Window
    first_row: int
    num_tokens: int


def _placed(encoded: Sequence[EncodedText], *, max_tokens: int, alone: bool) -> Iterator[_Placed]:
    first_row = 0
    for text in encoded:
        for window in text.windows:
            num_tokens = padded_length(window, max_tokens=max_tokens, alone=alone)
            yield _Placed(window, first_row + window.first_word, num_tokens)
        first_row += len(text.offsets)


def _joined(batch: Sequence[_Placed]) -> PlannedBatch:
    """Return windows as one batch; the last is the longest."""
    windows = [placed.window for placed in batch]
    return PlannedBatch(windows, [placed.first_row for placed in batch], batch[-1].num_tokens)
