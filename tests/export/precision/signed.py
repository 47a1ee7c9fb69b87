"""Graphs with one activation, whose values a test chooses by token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from serve.encoding import EncodedBatch


def signed(scale: float) -> onnx.ModelProto:
    """Return a graph whose activation `x` is each token's id times a number."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "seen"], ["masked"]),
        helper.make_node("Mul", ["masked", "scale"], ["x"]),
        helper.make_node("Identity", ["x"], ["logits"]),
    ]
    return _model(nodes, {"scale": np.array(scale, np.float32)}, "logits", ["B", "T"])


def of_channels(*scales: float) -> onnx.ModelProto:
    """Return a graph whose activation `x` is each token's id times a number for each channel."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ids", "last_axis"], ["columns"]),
        helper.make_node("Mul", ["columns", "scales"], ["x"]),
    ]
    weights = {"last_axis": np.array([-1]), "scales": np.array(scales, np.float32)}
    return _model(nodes, weights, "x", ["B", "T", len(scales)])


def _model(
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, NDArray[np.generic]],
    output: str,
    shape: Sequence[str | int],
) -> onnx.ModelProto:
    names = ("input_ids", "attention_mask")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in names]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "chosen", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def batch_of(*ids: int) -> EncodedBatch:
    input_ids = np.array([ids], dtype=np.int64)
    return EncodedBatch(input_ids, np.ones_like(input_ids))
