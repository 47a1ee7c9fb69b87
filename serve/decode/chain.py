"""Owns the arithmetic of chains of tags: the best one, and how probable each of its tags is.

Many chains go through at once, a word at a time, longest first, so that those still running are
always the first rows. Knows nothing of texts or of what tags mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FLOOR = 1e-300
"""Keeps a sum of probabilities above 0 where all of them are too small for a float64."""


def best_chains(
    potentials: NDArray[np.float64],
    num_words: NDArray[np.int64],
    transitions: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the chain of the highest sum of potentials and transitions: Viterbi's algorithm.

    Args:
        potentials: What speaks for each tag of each word. Shape: (N, W, L)
        num_words: Length of each chain, falling, none 0. Shape: (N,)
        transitions: What is added where tag i is followed by tag j. Shape: (L, L)

    Returns:
        Tag ids; those beyond a chain's end mean nothing. Shape: (N, W)
    """
    into = np.ascontiguousarray(transitions.T)[None]  # reduced over the last axis, the fast one
    total = potentials[:, 0].copy()
    running = _running(num_words)
    came_from = np.zeros(potentials.shape, dtype=np.int64)
    for word in range(1, potentials.shape[1]):
        now = running[word]
        reached = total[:now, None, :] + into
        came_from[:now, word] = reached.argmax(axis=2)
        total[:now] = reached.max(axis=2) + potentials[:now, word]
    tags = total.argmax(axis=1)
    chains = np.zeros(potentials.shape[:2], dtype=np.int64)
    rows = np.arange(len(tags))
    for word in range(potentials.shape[1] - 1, 0, -1):
        now = running[word]
        chains[:now, word] = tags[:now]
        tags[:now] = came_from[rows[:now], word, tags[:now]]
    chains[:, 0] = tags
    return chains


def marginals(
    potentials: NDArray[np.float64],
    num_words: NDArray[np.int64],
    transitions: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the probability of each tag of each word, over all chains: forward and backward.

    Args:
        potentials: Shape: (N, W, L)
        num_words: Length of each chain, falling, none 0. Shape: (N,)
        transitions: Shape: (L, L)

    Returns:
        In [0, 1], each word's summing up to 1; beyond a chain's end meaningless. Shape: (N, W, L)
    """
    factors = np.exp(potentials - potentials.max(axis=2, keepdims=True))
    steps = np.exp(transitions - transitions.max())
    running = _running(num_words)
    before, after = np.ones_like(factors), np.ones_like(factors)
    before[:, 0] = _shares(factors[:, 0])
    for word in range(1, potentials.shape[1]):
        now = running[word]
        before[:now, word] = _shares((before[:now, word - 1] @ steps) * factors[:now, word])
    for word in range(potentials.shape[1] - 1, 0, -1):
        now = running[word]
        after[:now, word - 1] = _shares((factors[:now, word] * after[:now, word]) @ steps.T)
    return _shares(before * after)


def _running(num_words: NDArray[np.int64]) -> list[int]:
    """Return how many chains have more words than a number, for each number. Shape: (W,)."""
    longest = int(num_words[0])
    running: list[int] = np.searchsorted(-num_words, -np.arange(longest)).tolist()
    return running


def _shares(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.maximum(weights, _FLOOR)
    shares: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
    return shares
