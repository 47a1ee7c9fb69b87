"""Owns the measure of harm without labels: the error that a graph's logits have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from tqdm import tqdm

from export.source import Source
from serve.encoding import EncodedBatch
from serve.session import OrtBackend

NUM_LINES = 64


def logit_errors(
    source: Source, names: Sequence[str], make: Callable[[str], onnx.ModelProto]
) -> dict[str, float]:
    """Return the mean squared error of some graphs' logits, the largest first; infinity for NaN.

    Args:
        source: What the graphs are made from.
        names: What tells them apart: the only node that is reduced, or a way to calibrate.
        make: Makes the graph of a name.
    """
    batches = list(source.batches(NUM_LINES))
    expected = _logits(source.cpu, batches)

    def error_of(name: str) -> float:
        error = np.square(_logits(make(name), batches) - expected).mean()
        return float(np.nan_to_num(error, nan=np.inf))

    bar = tqdm(names, desc="sensitivity", leave=False, disable=None)
    errors = {name: error_of(name) for name in bar}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _logits(model: onnx.ModelProto, batches: Sequence[EncodedBatch]) -> NDArray[np.float32]:
    """Return the logits of all tokens, one after the other. Shape: (tokens, L)."""
    backend = OrtBackend(model.SerializeToString())
    logits = [backend.logits(batch) for batch in batches]
    return np.concatenate([scores.reshape(-1, scores.shape[-1]) for scores in logits])
