"""Owns calibration: between which values each activation lies, on real lines.

The ranges are minimum and maximum over all tokens, zero included; `export.precision.histograms`
knows tighter ones. They are measured in FP32, on lines alone and on lines joined to long texts,
whose positions no short line reaches.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from export.parity import long_text
from serve.encoding import EncodedBatch, Encoder, Window
from serve.errors import GraphError
from serve.limits import MAX_CHARS
from serve.session import forget_bytes
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

    def steps(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how many steps from 0 eight bits make of some values: whole ones."""
        zero_point = np.float32(self.zero_point)
        whole: NDArray[np.float32] = np.clip(np.rint(values / self.scale) + zero_point, 0, _STEPS)
        return whole - zero_point


def calibration_batches(encoder: Encoder, texts: Sequence[str]) -> Iterator[EncodedBatch]:
    """Yield the windows of every text and of all texts joined, without padding.

    Joined again and again, if they are too few to reach the model's last position.
    """
    by_length: dict[int, list[Window]] = defaultdict(list)
    *alone, joined = encoder.encode([*texts, " ".join(texts)[:MAX_CHARS]])
    if max((len(window.input_ids) for window in joined.windows), default=0) < encoder.max_tokens:
        (joined,) = encoder.encode([long_text(texts)])
    for text in (*alone, joined):
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
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for activations in run_activations(model, names, batches):
        for name, value in activations.items():
            low[name] = min(low[name], float(value.min()))
            high[name] = max(high[name], float(value.max()))
            if not math.isfinite(value.sum(dtype=np.float64)):
                raise GraphError(f"expected {name} to be finite on the calibration lines")
    return {name: Range(low[name], high[name]) for name in names}


def run_activations(
    model: onnx.ModelProto, names: Sequence[str], batches: Iterable[EncodedBatch]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Yield what a graph's float tensors hold for each batch, by name; others are left out."""
    session = ort.InferenceSession(_with_outputs(model, names), providers=["CPUExecutionProvider"])
    forget_bytes(session)
    floats = [o.name for o in session.get_outputs() if o.type == "tensor(float)"]
    wanted = [name for name in floats if name in set(names)]
    for batch in batches:
        feeds = {INPUT_IDS.name: batch.input_ids, ATTENTION_MASK.name: batch.attention_mask}
        yield dict(zip(wanted, session.run(wanted, feeds), strict=True))


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """Return a graph that also gives some tensors, whose types ONNX Runtime infers."""
    copy = deepcopy(model)
    have = {output.name for output in model.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in have)
    content: bytes = copy.SerializeToString()
    return content
