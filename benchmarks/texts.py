"""Owns the texts and the lengths that are measured on: real sentences, cut to drawn lengths.

The words are those of the sample corpus's hand-written lines, in their order. Lengths count the two
special tokens. Everything comes from a seed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.families import SEED
from serve.encoding import EncodedBatch
from serve.examples import read_jsonl

SAMPLE = Path(__file__).resolve().parents[1] / "train" / "sample" / "test.jsonl"
NUM_SPECIAL = 2
_FIRST_ID = 5  # after the special tokens


def sample_lines() -> list[str]:
    """Return the sample corpus's hand-written lines."""
    return [example.text for example in read_jsonl(SAMPLE)]


def sample_words() -> list[str]:
    """Return the lines' words in order, letters and digits only: one token each."""
    return re.findall(r"[a-z0-9]+", " ".join(sample_lines()).lower())


def uniform_lengths(low: int, high: int, count: int) -> list[int]:
    """Return lengths drawn from `low` to `high`, both included."""
    return [int(n) for n in np.random.default_rng(SEED).integers(low, high + 1, count)]


def passage_lengths(mean: int, longest: int, count: int) -> list[int]:
    """Return lengths with the mean and limit of question answering's passages.

    A gamma distribution of shape 4, cut at 32 and at `longest`: right-skewed as SQuAD's is, and
    synthetic. The scale is searched so that what remains has the mean.
    """
    drawn = np.random.default_rng(SEED).gamma(4.0, 1.0, count)
    low, high = 0.0, float(longest)
    for _ in range(50):
        scale = (low + high) / 2
        too_long = _cut(drawn * scale, longest).mean() > mean
        low, high = (low, scale) if too_long else (scale, high)
    return [int(n) for n in _cut(drawn * low, longest)]


def texts_of(lengths: Sequence[int]) -> list[str]:
    """Return a text of each length, each beginning where the last one ended."""
    words = sample_words()
    starts = np.cumsum([0, *lengths[:-1]])
    return [
        " ".join(words[(start + i) % len(words)] for i in range(length - NUM_SPECIAL))
        for start, length in zip(starts, lengths, strict=True)
    ]


def random_batch(
    lengths: Sequence[int], num_tokens: int, vocabulary_size: int, seed: int
) -> EncodedBatch:
    """Return random token ids, padded on the right. Shape: (B, T).

    Raises:
        ValueError: If a row is longer than `num_tokens`.
    """
    if max(lengths) > num_tokens:
        raise ValueError(f"expected rows of at most {num_tokens} tokens, got {max(lengths)}")
    draw = np.random.default_rng(seed)
    mask = (np.arange(num_tokens) < np.array(lengths)[:, None]).astype(np.int64)
    ids: NDArray[np.int64] = draw.integers(_FIRST_ID, vocabulary_size, mask.shape)
    return EncodedBatch(ids * mask, mask)


def _cut(lengths: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    return np.clip(np.rint(lengths), min(32, longest), longest)
