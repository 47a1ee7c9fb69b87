"""Owns the rules for Q/DQ: in the places and forms from which TensorRT makes INT8 products.

After TensorRT's documentation, "Explicit Quantization": symmetric, constant scales, per tensor for
activations and per output channel for weights, and both inputs of a product dequantized right
before it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from export.tensorrt.lint.finding import Finding, error
from export.tensorrt.lint.subject import Subject, label, type_name

_Q, _DQ = "QuantizeLinear", "DequantizeLinear"
_PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
_QUANTIZED = (onnx.TensorProto.INT8, onnx.TensorProto.INT4, onnx.TensorProto.FLOAT8E4M3FN)
_FLOAT_ONLY = ("Cast", "Softmax", "LayerNormalization", "Erf", "Gelu", "Tanh", "Exp")
_REMEDY = "quantize again with python -m export --tensorrt --int8"


def check_quantization(subject: Subject) -> Iterator[Finding]:
    """Yield what keeps Q/DQ from becoming INT8 products."""
    for node in subject.nodes:
        if node.op_type in (_Q, _DQ):
            yield from _check_form(subject, node)
        if node.op_type == _Q:
            yield from _check_quantize(subject, node)
        elif node.op_type == _DQ:
            yield from _check_dequantize(subject, node)
        elif node.op_type in _PRODUCTS:
            yield from _check_product(subject, node)


def _check_form(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    """Check scale, zero point and type, which Q and DQ share."""
    scale = subject.constants.get(node.input[1])
    if scale is None:
        yield error("scale", label(node), "a constant scale", "a computed one", _REMEDY)
    else:
        values = numpy_helper.to_array(scale).astype(np.float64)
        if not (np.isfinite(values).all() and (values > 0).all()):
            yield error("scale", label(node), "finite scales above 0", f"{values.min():g}", _REMEDY)
    zero = subject.constants.get(node.input[2]) if len(node.input) > 2 else None
    quantized = node.output[0] if node.op_type == _Q else node.input[0]
    kind = zero.data_type if zero is not None else subject.types.get(quantized)
    if kind is not None and kind not in _QUANTIZED:
        yield error("quantized-type", label(node), "INT8", type_name(kind), _REMEDY)
    if zero is not None and numpy_helper.to_array(zero).any():
        yield error("zero-point", label(node), "zero point 0", "another", _REMEDY)
    elif zero is None and len(node.input) > 2 and node.input[2]:
        yield error("zero-point", label(node), "a constant zero point", "a computed one", _REMEDY)


def _check_quantize(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    scale = subject.constants.get(node.input[1])
    if scale is not None and np.prod(scale.dims) > 1 and node.input[0] not in subject.constants:
        yield error(
            "per-channel-activation",
            label(node),
            "one scale for an activation",
            f"{np.prod(scale.dims)}",
            _REMEDY,
        )
    others = [reader for reader in subject.readers.get(node.output[0], []) if reader.op_type != _DQ]
    if others or not subject.readers.get(node.output[0]):
        yield error(
            "unpaired",
            label(node),
            f"a {_DQ} behind it",
            label(others[0]) if others else "nothing",
            _REMEDY,
        )


def _check_dequantize(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    maker = subject.makers.get(node.input[0])
    if node.input[0] not in subject.constants and (maker is None or maker.op_type != _Q):
        yield error(
            "unpaired",
            label(node),
            f"a {_Q} or an INT8 weight before it",
            label(maker) if maker else "an input",
            _REMEDY,
        )
    for reader in subject.readers.get(node.output[0], []):
        if reader.op_type in _FLOAT_ONLY:
            yield error(
                "placement",
                label(node),
                f"one of {', '.join(_PRODUCTS)} right behind it",
                f"{label(reader)}, which keeps it from being fused",
                _REMEDY,
            )


def _check_product(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    makers = [subject.makers.get(name) for name in node.input[:2]]
    pairs = [maker for maker in makers if maker is not None and maker.op_type == _DQ]
    if len(pairs) == 1:
        yield error(
            "half-quantized",
            label(node),
            f"a {_DQ} before both factors or neither",
            "one before one factor, which is computed in floating point and costs time",
            _REMEDY,
        )
    weight = makers[1] if len(makers) > 1 else None
    if weight is not None and weight in pairs and node.op_type in ("MatMul", "Gemm"):
        yield from _check_axis(subject, node, weight)


def _check_axis(
    subject: Subject, node: onnx.NodeProto, weight: onnx.NodeProto
) -> Iterator[Finding]:
    tensor, scale = (subject.constants.get(weight.input[i]) for i in (0, 1))
    if tensor is None or scale is None or np.prod(scale.dims) <= 1:
        return
    attributes = {a.name: a.i for a in (*weight.attribute, *node.attribute)}
    rank = len(tensor.dims)
    expected = 0 if attributes.get("transB") else rank - 1
    axis = attributes.get("axis", 1) % rank
    if axis != expected:
        yield error(
            "channel-axis",
            label(weight),
            f"scales along axis {expected}, the output channels of {label(node)}",
            f"axis {axis}",
            _REMEDY,
        )
