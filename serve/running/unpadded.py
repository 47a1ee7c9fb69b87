"""Owns which of two graphs a batch takes on a GPU: the packed one where there is padding to save.

Single lines have next to none and are replayed as CUDA graphs, which the packed graph cannot be:
how many tokens there are, and so the size of what it computes, it learns as it runs. Both sessions
hold the weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.encoding import EncodedBatch


class UnpaddedBackend:
    """Two graphs of one model: padded, and packed for batches whose texts differ in length."""

    def __init__(self, padded: Backend, packed: Backend) -> None:
        """Take both."""
        self._padded = padded
        self._packed = packed

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L); padding's mean nothing."""
        is_wasteful = len(batch.input_ids) > 1 and not batch.attention_mask.all()
        return (self._packed if is_wasteful else self._padded).logits(batch)
