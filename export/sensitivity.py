"""Owns the measure of a node's harm: the error of the logits when it alone is reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.search import errors_alone
from export.source import Source
from serve.encoding import EncodedBatch
from serve.session import OrtBackend

NUM_LINES = 64


def node_errors(
    source: Source, names: Sequence[str], reduce_only: Callable[[str], onnx.ModelProto]
) -> dict[str, float]:
    """Return the mean squared error of the logits for each node, the largest first.

    Args:
        source: What the graph is made from.
        names: The nodes.
        reduce_only: Makes the graph in which only that node is reduced.
    """
    batches = list(source.batches(NUM_LINES))
    expected = _logits(source.cpu, batches)

    def error_of(name: str) -> float:
        return float(np.square(_logits(reduce_only(name), batches) - expected).mean())

    return errors_alone(names, error_of)


def _logits(model: onnx.ModelProto, batches: Sequence[EncodedBatch]) -> NDArray[np.float32]:
    """Return the logits of all tokens, one after the other. Shape: (tokens, L)."""
    backend = OrtBackend(model.SerializeToString())
    logits = [backend.logits(batch) for batch in batches]
    return np.concatenate([scores.reshape(-1, scores.shape[-1]) for scores in logits])
