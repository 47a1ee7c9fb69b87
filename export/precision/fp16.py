"""Owns the step from FP32 to FP16: what is converted, and how what stays FP32 is joined to it.

Weights and activations become FP16. The logits leave as FP32, so that softmax and scores are
computed in FP32; sums inside LayerNorm and softmax are FP32 inside ONNX Runtime's fused kernels.
Which nodes stay FP32 is measured, see `export.precision.fp16_range`; no operator is left out by its
name.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from copy import deepcopy

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

_FLOAT, _FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def to_fp16(
    fused: onnx.ModelProto, fp32_nodes: Collection[str] = (), floats: Collection[str] = ()
) -> onnx.ModelProto:
    """Return a FP16 copy of a fused graph; inputs and logits keep their types.

    Args:
        fused: The graph.
        fp32_nodes: Names of nodes that stay FP32.
        floats: Names of the graph's float tensors; the conversion casts around FP32 nodes by them.
    """
    copy = deepcopy(fused)
    outputs = {output.name for output in fused.graph.output}
    copy.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, _FLOAT, None)
        for name in floats
        if name not in outputs
    )
    with warnings.catch_warnings():
        # "the float32 number will be truncated": parity and F1 say whether that mattered
        warnings.simplefilter("ignore", UserWarning)
        half: onnx.ModelProto = convert_float_to_float16(
            copy,
            keep_io_types=True,
            disable_shape_infer=True,
            op_block_list=[],
            node_block_list=list(fp32_nodes),
        )
    del half.graph.value_info[:]  # only the conversion needed them
    return _joined(half)


def _joined(half: onnx.ModelProto) -> onnx.ModelProto:
    """Let FP32 nodes read each other's results as they are, not by way of FP16."""
    casts = {
        (node.output[0], node.attribute[0].i): node
        for node in half.graph.node
        if node.op_type == "Cast"
    }
    exact = {
        node.output[0]: casts[node.input[0], _FLOAT16].input[0]
        for (_, kind), node in casts.items()
        if kind == _FLOAT and (node.input[0], _FLOAT16) in casts
    }
    for node in half.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = exact.get(name, name)
        if node.op_type == "Cast" and node.output[0] in exact:  # of the logits: it stays
            node.input[0] = exact[node.output[0]]
    graph = OnnxModel(half)
    graph.prune_graph()  # casts nobody reads any more
    graph.topological_sort()
    joined: onnx.ModelProto = graph.model
    return joined
