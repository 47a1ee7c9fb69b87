"""Owns the form of a fused graph without padding, for ONNX Runtime's CUDA provider.

After the embeddings `RemovePadding` puts the tokens of all texts in one row, `PackedAttention`
keeps each text to itself, and `RestorePadding` puts the rows back before the tag head. So padding
costs neither products nor attention. No other provider has these operators.

ONNX Runtime's converter leaves a graph that it does not know as it is, without a word; so what it
did is asserted here.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

import onnx
from onnxruntime.transformers.convert_to_packing_mode import PackingMode
from onnxruntime.transformers.onnx_model import OnnxModel

from export.checkpoint import Shape
from serve.errors import GraphError

_REMEDY = "leave --packed out: the attention of this graph has a form that cannot be packed"


def packed(fused: onnx.ModelProto, shape: Shape) -> onnx.ModelProto:
    """Return a copy of a fused graph that computes no padding; inputs and output stay.

    Logits of padding are those of a token whose every feature is 0.

    Args:
        fused: What `export.fusion.fuse` returns, in FP32 or FP16.
        shape: The model's sizes.

    Raises:
        GraphError: If the graph was not converted whole.
    """
    copy = deepcopy(fused)
    converted = OnnxModel(copy)
    PackingMode(converted).convert(use_symbolic_shape_infer=False)
    converted.topological_sort()
    model: onnx.ModelProto = converted.model
    check_packed(model, shape)
    return model


def expected_packing(shape: Shape) -> dict[str, int]:
    """Return how many nodes of each operator the packed form of a BERT of a shape must have."""
    return {
        "RemovePadding": 1,
        "PackedAttention": shape.num_layers,
        "RestorePadding": 1,
        "Attention": 0,
    }


def check_packed(model: onnx.ModelProto, shape: Shape) -> None:
    """Hold a graph against `expected_packing`, and see that nothing else reads what is padded.

    Raises:
        GraphError: If it has another number of these nodes, or the embeddings are read around
            `RemovePadding`: a first attention that stays FP32 has a cast of its own before it.
    """
    counts = Counter(node.op_type for node in model.graph.node)
    expected = expected_packing(shape)
    got = {name: counts[name] for name in expected}
    if got != expected:
        raise GraphError(f"expected the packed graph to have {expected}, got {got}; {_REMEDY}")
    producers = {output: node for node in model.graph.node for output in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    (remove,) = (node for node in model.graph.node if node.op_type == "RemovePadding")
    padded = remove.input[0]
    while readers[padded] == 1 and producers[padded].op_type == "Cast":
        padded = producers[padded].input[0]
    if readers[padded] > 1:
        raise GraphError(
            f"expected {padded} to be read by RemovePadding only, got {readers[padded]} readers; "
            f"{_REMEDY}"
        )
