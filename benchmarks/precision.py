"""Owns reading a graph's precision back from the graph itself."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from serve.bundle import Precision


def precision_of(graph: bytes) -> str:
    """Return the precision in which a graph's matrix products run, from its nodes and weights."""
    model = onnx.load_from_string(graph).graph
    if any(node.op_type in ("MatMulInteger", "QAttention") for node in model.node):
        return str(Precision.INT8)
    largest = max(
        model.initializer, key=lambda tensor: int(onnx.numpy_helper.to_array(tensor).size)
    )
    return str(Precision.FP16 if largest.data_type == TensorProto.FLOAT16 else Precision.FP32)
