"""Owns calibration: between which values each activation lies, on real lines.

The ranges are minimum and maximum over all tokens, zero included. They are measured in FP32, on
lines alone and on lines joined to long texts, whose positions no short line reaches.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from serve.encoding import MAX_CHARS, EncodedBatch, Encoder, Window
from serve.errors import GraphError
from serve.tensors import ATTENTION_MASK, INPUT_IDS

BATCH_TOKENS = 512  # every activation of a batch is held at once
_STEPS = 255  # between the smallest and the largest value of eight bits


@dataclass(frozen=True, slots=True)
class Range:
    """Between which values an activation lies.

    Attributes:
        low: At most 0.
        high: At least 0.
    """

    low: float
    high: float

    @property
    def scale(self) -> np.float32:
        """What one step of eight bits stands for; 1 where there were only zeros."""
        return np.float32((self.high - self.low) / _STEPS or 1.0)

    @property
    def zero_point(self) -> np.uint8:
        """The step that stands for 0."""
        return np.uint8(np.rint(-self.low / self.scale))


def calibration_batches(encoder: Encoder, texts: Sequence[str]) -> Iterator[EncodedBatch]:
    """Yield the windows of every text and of all texts joined, without padding."""
    by_length: dict[int, list[Window]] = defaultdict(list)
    for text in encoder.encode([*texts, " ".join(texts)[:MAX_CHARS]]):
        for window in text.windows:
            by_length[len(window.input_ids)].append(window)
    for num_tokens, windows in by_length.items():
        size = max(1, BATCH_TOKENS // num_tokens)
        for first in range(0, len(windows), size):
            yield encoder.collate(windows[first : first + size])


def activation_ranges(
    model: onnx.ModelProto, names: Sequence[str], batches: Iterable[EncodedBatch]
) -> dict[str, Range]:
    """Return the range of each of a graph's float tensors over some batches without padding.

    Raises:
        GraphError: If a tensor is not finite.
    """
    session = ort.InferenceSession(_with_outputs(model, names), providers=["CPUExecutionProvider"])
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for batch in batches:
        feeds = {INPUT_IDS.name: batch.input_ids, ATTENTION_MASK.name: batch.attention_mask}
        for name, value in zip(names, session.run(list(names), feeds), strict=True):
            low[name] = min(low[name], float(value.min()))
            high[name] = max(high[name], float(value.max()))
            if not math.isfinite(value.sum(dtype=np.float64)):
                raise GraphError(f"expected {name} to be finite on the calibration lines")
    return {name: Range(low[name], high[name]) for name in names}


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    content: bytes = copy.SerializeToString()
    return content
