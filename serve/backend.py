"""Owns the one thing a tagger needs of a model: logits for a batch."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serve.encoding import EncodedBatch


class Backend(Protocol):
    """A model that scores tags: ONNX Runtime, PyTorch, or a test's ten lines."""

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag.

        Returns:
            Shape: (B, T, L), float32. Values at padding mean nothing.
        """
        ...
