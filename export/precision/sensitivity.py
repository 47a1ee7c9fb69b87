"""Owns the measure of harm without labels: the error that a graph's logits have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.precision.search import errors_alone
from export.source import Source
from serve.encoding import EncodedBatch
from serve.session import OrtBackend

NUM_LINES = 64


def logit_errors(
    source: Source, names: Sequence[str], make: Callable[[str], onnx.ModelProto]
) -> dict[str, float]:
    """Return the mean squared error of the logits of some graphs, the largest first.

    Args:
        source: What the graphs are made from.
        names: What tells them apart: the only node that is reduced, or a way to calibrate.
        make: Makes the graph of a name.
    """
    batches = list(source.batches(NUM_LINES))
    expected = _logits(source.cpu, batches)

    def error_of(name: str) -> float:
        return float(np.square(_logits(make(name), batches) - expected).mean())

    return errors_alone(names, error_of)


def _logits(model: onnx.ModelProto, batches: Sequence[EncodedBatch]) -> NDArray[np.float32]:
    """Return the logits of all tokens, one after the other. Shape: (tokens, L)."""
    backend = OrtBackend(model.SerializeToString())
    logits = [backend.logits(batch) for batch in batches]
    return np.concatenate([scores.reshape(-1, scores.shape[-1]) for scores in logits])
