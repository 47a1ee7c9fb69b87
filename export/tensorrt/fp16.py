"""Owns the strongly typed FP16 graph: every type is written in it, no builder flag is needed.

TensorRT 11 builds what the graph says and nothing else. So weights and activations are FP16 here,
and these stay FP32:
* the logits, by a cast behind the tag head, because scores and softmax are computed from them;
* mean and variance inside LayerNormalization (opset 17, `stash_type` 1): a sum of squares over the
  width leaves the range of FP16 first of all. Sums inside matrix products and softmax are the
  kernels' own.

Inputs are INT32: native in every TensorRT; version 8 narrows INT64, which has twice the bytes.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from export.precision.fp16 import to_fp16 as convert
from export.tensorrt.edit import insert_before
from serve.tensors import INPUTS

_TAKES_INT32 = ("Cast", "Shape", "Gather")


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a FP16 copy, with INT32 inputs and FP32 logits, of what `for_tensorrt` made."""
    return convert(_with_int32_inputs(model))


def _with_int32_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = ir.from_proto(model)
    names = {spec.name for spec in INPUTS}
    for value in copy.graph.inputs:
        if value.name not in names:
            continue
        wide = [use for use in value.uses() if use.node.op_type not in _TAKES_INT32]
        value.dtype = ir.DataType.INT32
        if wide:
            cast = ir.node("Cast", [value], {"to": ir.DataType.INT64}, name=f"{value.name}/Widen")
            insert_before(copy.graph, copy.graph[0], [cast])
            for node, index in wide:
                node.replace_input_with(index, cast.outputs[0])
    return ir.to_proto(copy)
