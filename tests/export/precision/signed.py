"""A graph with one activation, whose values a test chooses by token ids."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from serve.encoding import EncodedBatch


def signed(scale: float) -> onnx.ModelProto:
    """Return a graph whose activation `x` is each token's id times a number."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"])
        for name in ("input_ids", "attention_mask")
    ]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["seen"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "seen"], ["masked"]),
        helper.make_node("Mul", ["masked", "scale"], ["x"]),
        helper.make_node("Identity", ["x"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "signed",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T"])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def batch_of(*ids: int) -> EncodedBatch:
    input_ids = np.array([ids], dtype=np.int64)
    return EncodedBatch(input_ids, np.ones_like(input_ids))
