"""Owns the INT8 graph: explicit quantization where TensorRT turns it into INT8 products.

Policy, after TensorRT's rules for Q/DQ placement (documentation, "Explicit Quantization"):
* A pair of QuantizeLinear and DequantizeLinear stands on the activation of each product with
  weights, one pair for all products that share it (query, key and value do). Symmetric INT8, zero
  point 0, one scale per tensor: TensorRT knows no other activations.
* Weights are stored as INT8 and dequantized with one scale per output channel, zero point 0.
* The products inside attention, embeddings, layer norms, GELU, residual sums and the tag head have
  no Q/DQ: taggers lose entities with them, and attention is fused in FP16.
* Scales have the type of what they scale, FP16, so that a product's output is FP16 as well. That
  needs opset 19: before it Q/DQ know FP32 only, and two casts would stand between them and the
  product.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import version_converter

from export.precision.calibration import Range
from export.tensorrt.edit import constant, insert_before
from serve.errors import GraphError

INT8_OPSET, INT8_IR_VERSION = 19, 9  # ONNX 1.14 brought both
_MAX = 127  # -128 would have no opposite
_SMALLEST_SCALE = float(np.finfo(np.float16).smallest_normal)


def to_int8(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    excluded: Collection[str] = (),
) -> onnx.ModelProto:
    """Return an INT8 copy of what `to_fp16` made.

    Args:
        model: The FP16 graph.
        ranges: Of each activation that `quantized_inputs` names.
        excluded: Names of products to leave in FP16.

    Raises:
        GraphError: If a range is missing or beyond FP16, or a name to exclude is no product's.
    """
    copy = ir.from_proto(version_converter.convert_version(model, INT8_OPSET))
    products = _products(copy.graph)
    if unknown := set(excluded) - {product.name for product in products}:
        raise GraphError(f"expected names of matrix products to exclude, got {min(unknown)!r}")
    quantized: dict[str, ir.Value] = {}
    for product in products:
        if product.name not in excluded:
            product.replace_input_with(0, _activation(copy.graph, product, ranges, quantized))
            product.replace_input_with(1, _weight(copy.graph, product))
    unused = [name for name, value in copy.graph.initializers.items() if not value.uses()]
    for name in unused:
        del copy.graph.initializers[name]
    result = ir.to_proto(copy)
    result.ir_version = INT8_IR_VERSION
    del result.graph.value_info[:]  # from before the quantization
    return result


def quantized_inputs(model: onnx.ModelProto) -> list[str]:
    """Return the names of the activations that become INT8, each once.

    They are the same in the FP32 graph of `for_tensorrt`, where ranges are measured.
    """
    products = _products(ir.from_proto(model).graph)
    return list(dict.fromkeys(str(product.inputs[0].name) for product in products))  # type: ignore[union-attr]


def _products(graph: ir.Graph) -> list[ir.Node]:
    """Return the products with weights: of the encoder, not of the tag head."""
    head: set[ir.Node] = set()
    node = graph.outputs[0].producer()
    while node is not None and node.op_type in ("Cast", "Add", "MatMul"):
        head.add(node)
        made = [value.producer() for value in node.inputs if value is not None]
        node = next((producer for producer in made if producer is not None), None)
    return [node for node in graph if _has_weight(node) and node not in head]


def _has_weight(node: ir.Node) -> bool:
    weight = node.inputs[1] if node.op_type == "MatMul" else None
    return weight is not None and weight.const_value is not None


def _activation(
    graph: ir.Graph,
    product: ir.Node,
    ranges: Mapping[str, Range],
    quantized: dict[str, ir.Value],
) -> ir.Value:
    """Return a product's activation behind its pair of Q and DQ, which is made once."""
    value = product.inputs[0]
    assert value is not None
    name = str(value.name)
    if name not in quantized:
        scale = np.array(_scale(name, ranges), dtype=np.float16)
        parts = [
            constant(graph, f"{name}_scale", scale),
            constant(graph, f"{name}_zero_point", np.array(0, dtype=np.int8)),
        ]
        quantize = ir.node("QuantizeLinear", [value, *parts], name=f"{name}/QuantizeLinear")
        dequantize = ir.node(
            "DequantizeLinear", [quantize.outputs[0], *parts], name=f"{name}/DequantizeLinear"
        )
        insert_before(graph, product, [quantize, dequantize])
        quantized[name] = dequantize.outputs[0]
    return quantized[name]


def _scale(name: str, ranges: Mapping[str, Range]) -> float:
    if name not in ranges:
        raise GraphError(f"expected a calibrated range for {name}, got none; calibrate this graph")
    low, high = ranges[name].low, ranges[name].high
    largest = max(-low, high)
    if not np.isfinite(largest) or largest > np.finfo(np.float16).max:
        raise GraphError(f"expected a range within FP16 for {name}, got {low:g} to {high:g}")
    return max(largest / _MAX, _SMALLEST_SCALE)


def _weight(graph: ir.Graph, product: ir.Node) -> ir.Value:
    """Return a product's weight as INT8 behind its dequantization."""
    weight = product.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    values: NDArray[np.float32] = weight.const_value.numpy().astype(np.float32)  # (in, out)
    scale = np.maximum(np.abs(values).max(axis=0) / _MAX, _SMALLEST_SCALE).astype(np.float16)
    steps = np.clip(np.rint(values / scale.astype(np.float32)), -_MAX, _MAX).astype(np.int8)
    parts = [
        constant(graph, f"{product.name}_weight", steps),
        constant(graph, f"{product.name}_weight_scale", scale),
        constant(graph, f"{product.name}_weight_zero_point", np.zeros(len(scale), dtype=np.int8)),
    ]
    dequantize = ir.node(
        "DequantizeLinear", parts, {"axis": 1}, name=f"{product.name}/DequantizeLinear"
    )
    insert_before(graph, product, [dequantize])
    return dequantize.outputs[0]
