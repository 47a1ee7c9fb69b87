"""Owns reading a precision back from what was loaded: a graph, or PyTorch's numbers."""

from __future__ import annotations

import onnx
import torch
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


def precision_of_dtype(dtype: torch.dtype) -> str:
    """Return the precision of PyTorch's numbers in the same words: fp32, fp16."""
    return str(dtype).removeprefix("torch.").replace("float", "fp")
