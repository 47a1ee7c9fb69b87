"""The sums of weights that an x86 without VNNI keeps in 16 bits, as its instruction adds them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def largest_pair(whole: NDArray[Any]) -> int:
    """Return the largest sum of two neighbouring inputs' weights of one sign, in any column."""
    padded = np.pad(whole.astype(np.int64), ((0, len(whole) % 2), (0, 0)))
    pairs = padded.reshape(-1, 2, padded.shape[1])
    return max(int(np.maximum(sign * pairs, 0).sum(axis=1).max()) for sign in (1, -1))
