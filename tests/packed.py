"""The operators of a packed graph, which only CUDA has, written down in numpy.

As ONNX Runtime's documentation of contrib operators defines them; onnx's reference evaluator runs
them. Inside they compute in FP32, and round their results to the graph's number format.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from serve.encoding import EncodedBatch
from serve.tensors import ATTENTION_MASK, INPUT_IDS

Floats = NDArray[np.float32]


def normalized(rows: Floats, scale: Floats, shift: Floats, epsilon: float) -> Floats:
    x = rows.astype(np.float32)
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(epsilon))
    result: Floats = (scaled * scale + shift).astype(rows.dtype)
    return result


class Contrib(OpRun):
    op_domain = "com.microsoft"


class EmbedLayerNormalization(Contrib):
    def _run(self, ids, _, words, table, __, scale, shift, mask, positions=None, epsilon=None):  # type: ignore[no-untyped-def]
        summed = words[ids] + (table[: ids.shape[1]] if positions is None else table[positions])
        return normalized(summed, scale, shift, epsilon), mask.sum(1).astype(np.int32)


class SkipLayerNormalization(Contrib):
    def _run(self, x, skip, scale, shift, bias, epsilon):  # type: ignore[no-untyped-def]
        return (normalized(x + bias + skip, scale, shift, epsilon),)


class BiasGelu(Contrib):
    def _run(self, x, bias):  # type: ignore[no-untyped-def]
        curve = np.vectorize(lambda value: (1 + erf(value / sqrt(2))) / 2, otypes=[np.float32])
        return (((x + bias) * curve(x + bias)).astype(x.dtype),)


class RemovePadding(Contrib):
    rows: ClassVar[list[int]] = []

    def _run(self, x, counts):  # type: ignore[no-untyped-def]
        kept = np.arange(x.shape[1]) < counts[:, None]  # (B, T)
        offsets = np.argsort(~kept.ravel(), kind="stable").reshape(kept.shape)
        self.rows.append(int(kept.sum()))
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return x[kept], offsets.astype(np.int32), ends, counts.max().reshape(1)


class PackedAttention(Contrib):
    def _run(self, x, weight, bias, _, ends, __=None, num_heads=None):  # type: ignore[no-untyped-def]
        return (np.concatenate([
            self.one((rows @ weight + bias).astype(np.float32), num_heads)
            for rows in np.split(x, ends[1:-1])
        ]).astype(x.dtype),)  # fmt: skip

    @staticmethod
    def one(qkv: Floats, num_heads: int) -> Floats:
        q, k, v = (
            part.reshape(len(qkv), num_heads, -1).swapaxes(0, 1) for part in np.split(qkv, 3, -1)
        )
        scores = np.exp(q @ k.swapaxes(1, 2) / sqrt(q.shape[-1]))
        mixed: Floats = (scores / scores.sum(-1, keepdims=True)) @ v
        return mixed.swapaxes(0, 1).reshape(len(qkv), -1)


class RestorePadding(Contrib):
    def _run(self, rows, offsets):  # type: ignore[no-untyped-def]
        restored = np.zeros((offsets.size, rows.shape[-1]), rows.dtype)
        restored[offsets.ravel()[: len(rows)]] = rows
        return (restored.reshape(*offsets.shape, -1),)


OPERATORS: list[Any] = [
    EmbedLayerNormalization,
    SkipLayerNormalization,
    BiasGelu,
    RemovePadding,
    PackedAttention,
    RestorePadding,
]


class NumpyBackend:
    """A packed graph in numpy."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._evaluator = ReferenceEvaluator(graph, new_ops=OPERATORS)

    def logits(self, batch: EncodedBatch) -> Floats:
        feeds = {INPUT_IDS.name: batch.input_ids, ATTENTION_MASK.name: batch.attention_mask}
        logits: Floats = self._evaluator.run(None, feeds)[0]
        return logits
