"""The packed form: that it is one, and computes the same by its operators' written meaning.

Only CUDA has these operators. So they are written down here in numpy, as ONNX Runtime's
documentation of contrib operators defines them, and run by onnx's reference evaluator.
"""

from __future__ import annotations

from math import erf, sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from export.checkpoint import Checkpoint, TorchBackend, load_checkpoint
from export.fusion.packed import check_packed, packed
from export.optimize import fuse
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from tests.exported import exported

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def fused(checkpoint: Checkpoint) -> onnx.ModelProto:
    return fuse(exported(checkpoint), checkpoint.shape)


def normalized(x: Floats, scale: Floats, shift: Floats, epsilon: float) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(epsilon))
    result: Floats = scaled * scale + shift
    return result


class Contrib(OpRun):
    op_domain = "com.microsoft"


class EmbedLayerNormalization(Contrib):
    def _run(self, ids, _, words, table, __, scale, shift, mask, epsilon):  # type: ignore[no-untyped-def]
        summed = words[ids] + table[: ids.shape[1]]
        return normalized(summed, scale, shift, epsilon), mask.sum(1).astype(np.int32)


class SkipLayerNormalization(Contrib):
    def _run(self, x, skip, scale, shift, bias, epsilon):  # type: ignore[no-untyped-def]
        return (normalized(x + bias + skip, scale, shift, epsilon),)


class BiasGelu(Contrib):
    def _run(self, x, bias):  # type: ignore[no-untyped-def]
        curve = np.vectorize(lambda value: (1 + erf(value / sqrt(2))) / 2, otypes=[np.float32])
        return ((x + bias) * curve(x + bias),)


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
            self.one(rows @ weight + bias, num_heads) for rows in np.split(x, ends[1:-1])
        ]),)  # fmt: skip

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


def test_the_packed_form_gives_pytorchs_logits_and_computes_no_padding(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    lengths = (3, 11, 1, 7)
    mask = np.array([[1] * n + [0] * (11 - n) for n in lengths], dtype=np.int64)
    batch = EncodedBatch(np.random.default_rng(0).integers(5, 80, mask.shape) * mask, mask)
    RemovePadding.rows.clear()
    evaluator = ReferenceEvaluator(packed(fused, checkpoint.shape), new_ops=OPERATORS)
    (got,) = evaluator.run(
        None, {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    )
    expected = TorchBackend(checkpoint.model).logits(batch)
    np.testing.assert_allclose(got[mask == 1], expected[mask == 1], atol=1e-4)
    assert RemovePadding.rows == [sum(lengths)]


def test_packing_leaves_the_fused_graph_as_it_was(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    before = fused.SerializeToString(deterministic=True)
    packed(fused, checkpoint.shape)
    assert fused.SerializeToString(deterministic=True) == before
    with pytest.raises(GraphError, match="'PackedAttention': 0"):
        check_packed(fused, checkpoint.shape)


def test_a_graph_that_the_converter_silently_leaves_is_refused(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    biased = onnx.ModelProto()
    biased.CopyFrom(fused)
    for node in biased.graph.node:
        if node.op_type == "Attention":  # the form that onnxscript's own rules give
            node.input[3:] = ["", "", "mask"]
    biased.graph.input.append(
        helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["B", 1, "T", "T"])
    )
    with pytest.raises(GraphError, match=r"expected the packed graph .* 'Attention': 2"):
        packed(biased, checkpoint.shape)
