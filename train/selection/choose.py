"""Owns the choice of lines: those a tagger is unsure of, and that are unlike each other.

Lines are taken one by one, each time the one whose uncertainty times its distance to the nearest
line that was taken before, or is labelled already, is largest. Without the distance the choice is
a heap of lines of one kind, of which the first would have taught the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve.tagger import Tagger
from train.selection.uncertainty import uncertainty

_BLOCK = 64
"""Labelled lines compared at once: all lines to choose from are read once for so many."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A line to label.

    Attributes:
        row: Of the lines to choose from, from 0.
        uncertainty: How unsure the tagger is of it, in nats a word.
        distance: To the nearest line labelled or chosen before, in [0, 2].
    """

    row: int
    uncertainty: float
    distance: float


def choose(
    tagger: Tagger,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    labelled: NDArray[np.float32],
    num: int,
) -> list[Choice]:
    """Return the lines to label next, the most useful first.

    Args:
        tagger: Trained on the lines labelled so far.
        texts: The lines to choose from. Shape: (N,)
        vectors: Their embeddings, of length 1. Shape: (N, D)
        labelled: Those of the lines labelled so far. Shape: (M, D)
        num: How many to choose; all where there are fewer.
    """
    return pick(uncertainty(tagger, texts), vectors, labelled, num)


def pick(
    doubts: NDArray[np.float64],
    vectors: NDArray[np.float32],
    labelled: NDArray[np.float32],
    num: int,
) -> list[Choice]:
    """Return the lines to label next; see `choose`.

    Args:
        doubts: How unsure the tagger is of each line, at least 0. Shape: (N,)
        vectors: Shape: (N, D)
        labelled: Shape: (M, D)
        num: How many to choose.
    """
    distances = np.full(len(doubts), 2.0)
    for first in range(0, len(labelled), _BLOCK):
        nearest = (vectors @ labelled[first : first + _BLOCK].T).max(axis=1)
        distances = np.minimum(distances, 1.0 - nearest)
    chosen: list[Choice] = []
    left = np.ones(len(doubts), dtype=bool)
    for _ in range(min(num, len(doubts))):
        distances = np.maximum(distances, 0.0)  # rounding
        worth = np.where(left, doubts * distances, -1.0)
        row = int(worth.argmax())
        chosen.append(Choice(row, float(doubts[row]), float(distances[row])))
        left[row] = False
        distances = np.minimum(distances, 1.0 - vectors @ vectors[row])
    return chosen
