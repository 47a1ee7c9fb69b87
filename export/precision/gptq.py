"""Owns the rounding of a weight to steps whose errors make up for one another.

Rounded to the nearest, each number of a weight errs by itself. Here rows are rounded one after the
other, and what a row errs by is put upon the rows still to come, as far as their inputs go together
with its own (GPTQ, Frantar et al. 2022, arXiv:2210.17323).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from export.precision.steps import Matrix, column_steps, step_limits

_BLOCK = 128  # rows whose errors go on together: products of matrices, not of vectors


class Rounded(NamedTuple):
    """A weight on steps.

    Attributes:
        weight: Whole steps, times what they stand for. Shape: (inputs, columns)
        steps: What a step of each column stands for. Shape: (columns,)
    """

    weight: Matrix
    steps: Matrix


def fitted(weight: Matrix, gram: Matrix, missing: Matrix) -> Rounded:
    """Return a weight on its columns' steps that gives what another one gave on other inputs.

    Args:
        weight: The weight as it was trained. Shape: (inputs, columns)
        gram: Products of the inputs with one another, summed over all tokens; positive definite.
            Shape: (inputs, inputs)
        missing: Products of the inputs with what the weight would still have to give, summed
            likewise. Shape: (inputs, columns)
    """
    order = _largest_first(np.diag(gram))  # the rest makes up for it
    factor = _inverse_factor(gram[np.ix_(order, order)])
    nearest = weight[order] + factor.T @ (factor @ missing[order])
    steps = column_steps(nearest)
    rounded = np.empty_like(weight)
    rounded[order] = _round_rows(nearest / steps, factor) * steps
    return Rounded(rounded, steps)


def _largest_first(sizes: Matrix) -> NDArray[np.intp]:
    """Return an order of the inputs that leaves neighbours together, one without any the last."""
    pairs = np.arange(len(sizes) // 2 * 2).reshape(-1, 2)
    order = pairs[np.argsort(-sizes[pairs].max(axis=1), kind="stable")].ravel()
    return np.append(order, np.arange(len(order), len(sizes)))


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
    """Return a weight in whole steps, given it in parts of them; that one is used up."""
    whole = np.empty_like(weight)
    nothing = np.zeros_like(weight[0])
    for first in range(0, len(weight), _BLOCK):
        end = min(first + _BLOCK, len(weight))
        errors = np.empty((end - first, weight.shape[1]), dtype=np.float32)
        for row in range(first, end):
            limits = step_limits(whole[row - 1] if row % 2 else nothing)
            whole[row] = np.clip(np.rint(weight[row]), *limits)
            error = errors[row - first] = (weight[row] - whole[row]) / factor[row, row]
            weight[row + 1 : end] -= np.outer(factor[row, row + 1 : end], error)
        weight[end:] -= factor[first:end, end:].T @ errors
    return whole
