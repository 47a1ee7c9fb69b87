"""The packed form: that it is one, and computes the same by its operators' written meaning.

Only CUDA has these operators: `tests.packed` has them in numpy.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnx
import pytest
from onnx import helper

from export.checkpoint import Checkpoint, TorchBackend
from export.fusion.packed import check_packed, packed
from export.precision.fp16 import to_fp16
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from tests.packed import NumpyBackend, RemovePadding


def test_the_packed_form_gives_pytorchs_logits_and_computes_no_padding(
    checkpoint: Checkpoint, fused: onnx.ModelProto
) -> None:
    lengths = (3, 11, 1, 7)
    mask = np.array([[1] * n + [0] * (11 - n) for n in lengths], dtype=np.int64)
    batch = EncodedBatch(np.random.default_rng(0).integers(5, 80, mask.shape) * mask, mask)
    RemovePadding.rows.clear()
    got = NumpyBackend(packed(fused, checkpoint.shape)).logits(batch)
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
    biased = deepcopy(fused)
    for node in biased.graph.node:
        if node.op_type == "Attention":  # the form that onnxscript's own rules give
            node.input[3:] = ["", "", "mask"]
    biased.graph.input.append(
        helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, ["B", 1, "T", "T"])
    )
    with pytest.raises(GraphError, match=r"expected the packed graph .* 'Attention': 2"):
        packed(biased, checkpoint.shape)


@pytest.mark.parametrize("num_exact", [1, 2])
def test_a_graph_that_would_be_packed_in_part_is_refused(
    checkpoint: Checkpoint, fused: onnx.ModelProto, num_exact: int
) -> None:
    attentions = [node.name for node in fused.graph.node if node.op_type == "Attention"]
    floats = [
        node.output[0] for node in fused.graph.node if node.op_type not in ("Cast", "ReduceSum")
    ]
    half = to_fp16(fused, attentions[:num_exact], floats)  # with a cast before the first
    with pytest.raises(
        GraphError, match=r"read by RemovePadding only, got 2 .* leave --packed out"
    ):
        packed(half, checkpoint.shape)
