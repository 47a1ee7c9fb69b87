"""Owns the form a checkpoint's graph has for TensorRT, still in FP32 and before any number changes.

Four rewrites of the unfused export; the answers stay PyTorch's, which the gate checks:
* *mask*: `(1 - attention_mask) * -10000` instead of -3.4e38, which is infinite in FP16. -10000 is
  not, and makes each weight of padding an exact 0 after softmax. Its shape is (B, 1, T, T): fused
  attention broadcasts a mask over batch and heads only (TensorRT documentation, "Attention": mask
  `[a0, a1, s_q, s_kv]`).
* *scale*: queries are scaled before they meet the keys, not the scores after. TensorRT fuses
  attention only in that form (TensorRT documentation, "Fused Attention"), and FP16 scores stay
  smaller.
* *reshapes*: a shape that copies B and T is the constant (0, 0, ...), not a dozen nodes per layer.
* *counts*: RoBERTa counts positions with CumSum, which TensorRT has for floats only.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from export.tensorrt.edit import attention_softmaxes, constant, insert_before, moved
from serve.errors import GraphError
from serve.tensors import ATTENTION_MASK

MASKED = -1e4
"""What is added to the score of a masked token: finite in FP16, and exp() of it is 0."""
_SCALINGS = ("Mul", "Div")


def for_tensorrt(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of the unfused export in the form TensorRT fuses; FP32, inputs as they were.

    Raises:
        GraphError: If no attention of the known form is in the graph.
    """
    copy = ir.from_proto(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(copy)
    graph = copy.graph
    _replace_mask(graph)
    _scale_queries(graph)
    _shorten_reshapes(graph)
    _count_in_floats(graph)
    common.RemoveUnusedNodesPass()(copy)
    proto = ir.to_proto(copy)
    del proto.graph.value_info[:]  # types from before the rewriting, which runtimes hold against it
    return proto


def _replace_mask(graph: ir.Graph) -> None:
    """Give each attention one plain additive mask. Shape: (B, 1, T, T)."""
    adds = [softmax.inputs[0].producer() for softmax in attention_softmaxes(graph)]  # type: ignore[union-attr]
    mask = _plain_mask(graph)
    for add in adds:
        if add is None or add.op_type != "Add":
            raise GraphError(
                "expected each softmax to follow a mask that is added, got "
                f"{add.op_type if add else 'none'}; use a supported BERT family and eager attention"
            )
        scored = [_comes_from_product(value) for value in add.inputs]
        if scored.count(True) != 1:
            raise GraphError(f"expected {add.name} to add a mask to scores, got neither apart")
        add.replace_input_with(scored.index(False), mask)


def _comes_from_product(value: ir.Value | None) -> bool:
    node = value.producer() if value else None
    if node is not None and node.op_type in _SCALINGS:
        node = node.inputs[0].producer() if node.inputs[0] else None
    return node is not None and node.op_type == "MatMul"


def _plain_mask(graph: ir.Graph) -> ir.Value:
    """Put the nodes of the mask in front of all others and return their result."""
    attended = next(value for value in graph.inputs if value.name == ATTENTION_MASK.name)
    axes = constant(graph, "mask_axes", np.array([1, 2], dtype=np.int64))
    one_dim = constant(graph, "mask_one", np.array([1], dtype=np.int64))
    order = constant(graph, "mask_order", np.array([0, 2, 1, 1], dtype=np.int64))  # B, 1, T, T
    one = constant(graph, "mask_attended", np.array(1, dtype=np.float32))
    low = constant(graph, "mask_low", np.array(MASKED, dtype=np.float32))
    nodes = [
        cast := ir.node("Cast", [attended], {"to": ir.DataType.FLOAT}, name="mask/Cast"),
        ahead := ir.node("Sub", [one, cast.outputs[0]], name="mask/Sub"),
        added := ir.node("Mul", [ahead.outputs[0], low], name="mask/Mul"),
        wide := ir.node("Unsqueeze", [added.outputs[0], axes], name="mask/Unsqueeze"),
        shape := ir.node("Shape", [attended], name="mask/Shape"),
        sizes := ir.node("Concat", [shape.outputs[0], one_dim], {"axis": 0}, name="mask/Concat"),
        full := ir.node("Gather", [sizes.outputs[0], order], {"axis": 0}, name="mask/Gather"),
        mask := ir.node("Expand", [wide.outputs[0], full.outputs[0]], name="mask/Expand"),
    ]
    insert_before(graph, graph[0], nodes)
    return mask.outputs[0]


def _scale_queries(graph: ir.Graph) -> None:
    """Move each scale from the scores to the queries."""
    for softmax in attention_softmaxes(graph):
        add = softmax.inputs[0].producer()  # type: ignore[union-attr]
        for scaling in (value.producer() for value in add.inputs):  # type: ignore[union-attr]
            if scaling is not None and scaling.op_type in _SCALINGS and scaling.inputs[1]:
                product = scaling.inputs[0].producer()  # type: ignore[union-attr]
                if product is not None and product.op_type == "MatMul":
                    moved(graph, scaling, product)


def _shorten_reshapes(graph: ir.Graph) -> None:
    """Replace shapes that copy the leading axes by constants: 0 means "as in the input"."""
    for node in graph:
        shape = node.inputs[1].producer() if node.op_type == "Reshape" else None  # type: ignore[union-attr]
        if shape is None or shape.op_type != "Concat":
            continue
        sizes = [value.const_value if value else None for value in shape.inputs]
        values = [int(size.numpy().item()) if size else 0 for size in sizes]
        name = f"{node.name}_shape"
        node.replace_input_with(1, constant(graph, name, np.array(values, dtype=np.int64)))


def _count_in_floats(graph: ir.Graph) -> None:
    """Let CumSum count in floats, which are exact far beyond any number of tokens."""
    for node in list(graph):
        counted = node.inputs[0] if node.op_type == "CumSum" else None
        if counted is None or (cast := counted.producer()) is None or cast.op_type != "Cast":
            continue
        wide = ir.node("Cast", [counted], {"to": ir.DataType.FLOAT}, name=f"{node.name}/Float")
        insert_before(graph, node, [wide])
        node.replace_input_with(0, wide.outputs[0])
        back = ir.node(
            "Cast",
            [node.outputs[0]],
            {"to": cast.attributes["to"].as_int()},
            name=f"{node.name}/Int",
        )
        back.outputs[0].name = f"{back.name}_output"
        uses = list(node.outputs[0].uses())
        graph.insert_after(node, [back])
        for reader, place in uses:
            if reader is not back:
                reader.replace_input_with(place, back.outputs[0])
