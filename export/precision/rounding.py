"""Owns a stand-in for a GPU's FP16: an FP32 graph whose every number is rounded to FP16.

ONNX Runtime computes most of a FP16 graph in FP32 on a CPU and leaves casts out, which hides what
overflows. Here the casts are nodes of the graph, which no optimizer may take for its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import deepcopy

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.fusion.cpu import parts_for_cpu
from export.precision.fp16_range import node_name


def rounded_to_fp16(
    fused: onnx.ModelProto, fp32_nodes: Collection[str], floats: Collection[str]
) -> onnx.ModelProto:
    """Return a fused graph in its parts, each number of a FP16 node rounded.

    Args:
        fused: The graph.
        fp32_nodes: Names of nodes whose results are not rounded.
        floats: Names of the float tensors of the graph and of its parts.
    """
    model = deepcopy(fused)
    nodes = [
        new
        for node in fused.graph.node
        for part in parts_for_cpu(node)
        for new in ([part] if node_name(node) in fp32_nodes else _rounding(part, floats))
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    halved = {
        name
        for node in fused.graph.node
        for name in node.input
        if node_name(node) not in fp32_nodes
    }
    for tensor in model.graph.initializer:
        if tensor.name in halved and tensor.data_type == tensor.FLOAT:
            with np.errstate(over="ignore"):  # infinity is what FP16 makes of it
                value = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return model


def _rounding(node: onnx.NodeProto, floats: Collection[str]) -> Iterator[onnx.NodeProto]:
    """Yield a node and the casts of its result to FP16 and back."""
    copy = deepcopy(node)
    yield copy
    out = node.output[0]
    if out in floats:
        copy.output[0] = f"{out}_exact"
        half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
        yield helper.make_node("Cast", [f"{out}_exact"], [f"{out}_fp16"], to=half)
        yield helper.make_node("Cast", [f"{out}_fp16"], [out], to=full)
