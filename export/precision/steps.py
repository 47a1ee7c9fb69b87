"""Owns the steps that a weight's integers stand for: so coarse that no CPU's product overflows.

On an x86 without VNNI the quickest product takes the inputs two by two and adds both products in
16 bits: of unsigned activations, up to 255, and of signed weights that add up to 128 at most. So
far two neighbours of one sign may go here. Steps become a quarter coarser, which costs next to
nothing (benchmarks/README.md), and a graph gives the same answers in any runtime on any CPU.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

MAX_STEP = 127
"""Of a signed weight; -128 would have no opposite."""
MAX_PAIR = 128
"""Of the sum of two neighbours of one sign: inputs 0 and 1, 2 and 3, and so on."""
_BEFORE_ROUNDING = MAX_PAIR - 0.01  # rounding adds 1 at most, and the division a little


def column_steps(weight: Matrix) -> Matrix:
    """Return what a step of each column stands for. Shape: (inputs, columns) to (columns,)."""
    largest = np.abs(weight).max(axis=0)
    pairs = np.maximum(_largest_pair(weight), _largest_pair(-weight))
    steps = np.maximum(largest / MAX_STEP, pairs / _BEFORE_ROUNDING).astype(np.float32)
    return np.where(steps, steps, np.float32(1))


def step_limits(neighbour: Matrix) -> tuple[Matrix, Matrix]:
    """Return how far the weights beside others may go, down and up; all of them in steps."""
    lowest = np.maximum(-MAX_STEP, -MAX_PAIR - np.minimum(neighbour, 0))
    return lowest, np.minimum(MAX_STEP, MAX_PAIR - np.maximum(neighbour, 0))


def _largest_pair(weight: Matrix) -> Matrix:
    """Return the largest sum of each column's neighbours above 0. Shape: (columns,)."""
    pairs = np.add.reduceat(np.maximum(weight, 0), np.arange(0, len(weight), 2), axis=0)
    largest: Matrix = pairs.max(axis=0)
    return largest
