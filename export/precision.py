"""Owns the step from FP32 to FP16 and INT8: what is converted, what stays FP32, and why.

FP16: weights and activations. The logits leave as FP32, so that softmax and scores are computed in
FP32; the sums inside LayerNorm and softmax are FP32 inside ONNX Runtime's fused kernels.

INT8 (dynamic, for CPUs): the weights of the matrix products (MatMul and Attention) per column;
their inputs are quantized as they come. Embeddings, LayerNorm, GELU, softmax, residual sums and the
tag head stay FP32: they cost little and taggers lose entities with them. The scale of an input is
that of the whole tensor, so the runtime gives such a graph one text at a time: otherwise an answer
would depend on a text's neighbours.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

from serve.errors import GraphError
from serve.tensors import LOGITS

_QUANTIZED = {"MatMul": "MatMulInteger", "Attention": "QAttention"}


def to_fp16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a FP16 copy of a fused graph; inputs and logits keep their types."""
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    with warnings.catch_warnings():
        # "the float32 number will be truncated": parity and F1 say whether that mattered
        warnings.simplefilter("ignore", UserWarning)
        half: onnx.ModelProto = convert_float_to_float16(
            copy, keep_io_types=True, disable_shape_infer=True
        )
    return half


def to_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a dynamic INT8 copy of a fused graph.

    Raises:
        GraphError: If a matrix product of the encoder was left in FP32.
    """
    with tempfile.TemporaryDirectory() as folder:  # the quantizer works on files
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(graph, source)
        logging.disable(logging.WARNING)  # it asks for a pre-pass that fused graphs cannot take
        try:
            _quantize(source, target, _head_nodes(graph))
        finally:
            logging.disable(logging.NOTSET)
        quantized = onnx.load(target)
    _check_quantized(graph, quantized)
    return quantized


def _quantize(source: Path, target: Path, excluded: list[str]) -> None:
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=list(_QUANTIZED),
        nodes_to_exclude=excluded,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # On a fused graph shapes cannot be inferred: say that tensors are FP32, and leave
        # products of two activations alone.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
    )


def _head_nodes(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes between the last LayerNorm and the logits."""
    by_output = {name: node for node in graph.graph.node for name in node.output}
    names: list[str] = []
    node = by_output.get(LOGITS.name)
    while node is not None and node.op_type in ("Add", "MatMul", "Gemm"):
        names.append(node.name)
        inputs = [by_output[name] for name in node.input if name in by_output]
        node = next((parent for parent in inputs if parent.op_type != "Constant"), None)
    return names


def _check_quantized(graph: onnx.ModelProto, quantized: onnx.ModelProto) -> None:
    excluded = set(_head_nodes(graph))
    for before, after in _QUANTIZED.items():
        expected = sum(n.op_type == before and n.name not in excluded for n in graph.graph.node)
        got = sum(n.op_type == after for n in quantized.graph.node)
        if got != expected:
            raise GraphError(f"expected {expected} {after} nodes in the INT8 graph, got {got}")
