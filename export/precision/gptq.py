"""Owns the rounding of a weight to steps whose errors make up for one another.

Rounded to the nearest, each number of a weight errs by itself. Here rows are rounded one after the
other, and what a row errs by is put upon the rows still to come, as far as their inputs go together
with its own (GPTQ, Frantar et al. 2022, arXiv:2210.17323).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.precision.int8 import MAX_STEP, column_steps

_BLOCK = 128  # rows whose errors go on together: products of matrices, not of vectors

Matrix = NDArray[np.float32]


def fitted(weight: Matrix, gram: Matrix, missing: Matrix) -> Matrix:
    """Return a weight on its columns' steps that gives what another one gave on other inputs.

    A column's largest number stays, and so do the steps: rounded to the nearest again, the result
    does not change.

    Args:
        weight: The weight as it was trained. Shape: (inputs, columns)
        gram: Products of the inputs with one another, summed over all tokens; positive definite.
            Shape: (inputs, inputs)
        missing: Products of the inputs with what the weight would still have to give, summed
            likewise. Shape: (inputs, columns)
    """
    order = np.argsort(-np.diag(gram), kind="stable")  # the largest first: the rest makes up for it
    factor = _inverse_factor(gram[np.ix_(order, order)])
    nearest = weight[order] + factor.T @ (factor @ missing[order])
    rounded = np.empty_like(weight)
    rounded[order] = _round_rows(nearest, factor)
    return rounded


def _inverse_factor(gram: Matrix) -> Matrix:
    """Return the upper triangle U with U'U the inverse of a matrix."""
    lower = np.linalg.cholesky(gram[::-1, ::-1])
    return _inverse(lower[::-1, ::-1])


def _inverse(upper: Matrix) -> Matrix:
    """Return the inverse of an upper triangle, by halves: a third of what any matrix would take."""
    half = len(upper) // 2
    if half < _BLOCK:
        return np.triu(np.linalg.inv(upper))
    inverse = np.zeros_like(upper)
    inverse[:half, :half] = first = _inverse(upper[:half, :half])
    inverse[half:, half:] = second = _inverse(upper[half:, half:])
    inverse[:half, half:] = -first @ upper[:half, half:] @ second
    return inverse


def _round_rows(weight: Matrix, factor: Matrix) -> Matrix:
    """Return a weight on its columns' steps; the weight itself is used up."""
    steps = column_steps(weight)
    largest = np.abs(weight).argmax(axis=0)
    kept = weight[largest, np.arange(weight.shape[1])]
    rounded = np.empty_like(weight)
    for first in range(0, len(weight), _BLOCK):
        end = min(first + _BLOCK, len(weight))
        errors = np.empty((end - first, weight.shape[1]), dtype=np.float32)
        for row in range(first, end):
            whole = np.clip(np.rint(weight[row] / steps), -MAX_STEP, MAX_STEP) * steps
            rounded[row] = np.where(largest == row, kept, whole)
            error = errors[row - first] = (weight[row] - rounded[row]) / factor[row, row]
            weight[row + 1 : end] -= np.outer(factor[row, row + 1 : end], error)
        weight[end:] -= factor[first:end, end:].T @ errors
    return rounded
