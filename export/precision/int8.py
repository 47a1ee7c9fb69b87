"""Owns the step to INT8 for CPUs: the encoder's matrix products on integers.

Weights: symmetric, one scale per column (`export.precision.steps`). Activations: eight bits with a
zero point, one scale per tensor, which comes from either
* *calibration*: fixed ranges. An answer depends on its own text only, so texts run in batches; or
* each run (*dynamic*): no calibration, and as wide as needed, but a neighbour or padding would
  change the answer, so the runtime gives such a graph one text at a time.

Embeddings, layer norms, GELU, softmax, residual sums and the tag head stay FP32: they cost little
and taggers lose entities with them. The integer operators are ONNX Runtime's own, written down as
they run, so that what the file says is what is executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.precision.calibration import Range
from export.precision.steps import column_steps
from export.precision.weights import without_weights
from serve.errors import GraphError
from serve.running.products import FITS
from serve.tensors import LOGITS

_CONTRIB = "com.microsoft"
_KEPT_ATTRIBUTES = ("num_heads", "unidirectional", "mask_filter_value", "scale")


def to_int8(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range] | None,
    fp32_nodes: Collection[str] = (),
    steps: Mapping[str, NDArray[np.float32]] | None = None,
) -> onnx.ModelProto:
    """Return an INT8 copy of a graph that `export.fusion.cpu.for_cpu` made.

    Args:
        model: The graph.
        ranges: Of each tensor that `quantized_inputs` names; None for dynamic scales.
        fp32_nodes: Names of products that stay FP32, of those `quantized_nodes` gives.
        steps: Of the weights that are on steps already, by their names. Shape: (columns,)

    Raises:
        GraphError: If another matrix product of the encoder was left in FP32.
    """
    quantizer = _Quantizer(model, ranges, fp32_nodes, steps or {})
    for node in model.graph.node:
        quantizer.add(node)
    quantized = quantizer.finished()
    _check(model, quantized, fp32_nodes, static=ranges is not None)
    return quantized


def quantized_inputs(model: onnx.ModelProto) -> list[str]:
    """Return the names of the activations that become integers, each once."""
    return list(dict.fromkeys(node.input[0] for node in quantized_products(model)))


def quantized_nodes(model: onnx.ModelProto) -> list[str]:
    """Return the names of the products that become integers, in their order."""
    return [node.name for node in quantized_products(model)]


def quantized_products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes that multiply with weights: of the encoder, not of the tag head."""
    weights = {tensor.name for tensor in model.graph.initializer}
    head = _head_nodes(model)
    return [
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Attention")
        and node.input[1] in weights
        and node.name not in head
    ]


def _head_nodes(model: onnx.ModelProto) -> set[str]:
    """Return the names of the nodes between the last layer norm and the logits."""
    by_output = {name: node for node in model.graph.node for name in node.output}
    names: set[str] = set()
    node = by_output.get(LOGITS.name)
    while node is not None and node.op_type in ("Add", "MatMul", "Gemm"):
        names.add(node.name)
        node = next((by_output[name] for name in node.input if name in by_output), None)
    return names


class _Quantizer:
    """Rewrites a graph node by node, in their order."""

    def __init__(
        self,
        model: onnx.ModelProto,
        ranges: Mapping[str, Range] | None,
        fp32_nodes: Collection[str],
        steps: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._model = model
        self._ranges = ranges
        self._steps = steps
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._products = set(quantized_nodes(model)) - set(fp32_nodes)
        self._nodes: list[onnx.NodeProto] = []
        self._added: dict[str, onnx.TensorProto] = {}
        self._quantized: dict[str, list[str]] = {}

    def add(self, node: onnx.NodeProto) -> None:
        """Take the next node."""
        if node.name not in self._products:
            self._nodes.append(node)
        elif node.op_type == "Attention":
            self._attention(node)
        elif self._ranges is None:
            self._dynamic_product(node)
        else:
            self._static_product(node)

    def finished(self) -> onnx.ModelProto:
        """Return the graph, its biases beside their products, without weights nobody reads."""
        quantized = without_weights(self._model)
        quantized.metadata_props.add(key=FITS)
        graph = quantized.graph
        del graph.node[:], graph.initializer[:]
        graph.node.extend(_without_clips(_with_biases(self._nodes, set(self._weights))))
        used = {name for node in graph.node for name in node.input}
        every = {**self._weights, **self._added}
        graph.initializer.extend(tensor for name, tensor in every.items() if name in used)
        return quantized

    def _attention(self, node: onnx.NodeProto) -> None:
        if any(node.input[4:]):
            raise GraphError(f"expected {node.name} to have a mask only, got {node.input[4:]}")
        data, scale, zero_point = self._activation(node.input[0])
        weight, weight_scale, weight_zero = self._weight(node.input[1])
        inputs = [
            data, weight, node.input[2], scale, weight_scale, node.input[3], zero_point, weight_zero
        ]  # fmt: skip
        quantized = helper.make_node("QAttention", inputs, node.output, node.name, domain=_CONTRIB)
        quantized.attribute.extend(a for a in node.attribute if a.name in _KEPT_ATTRIBUTES)
        self._nodes.append(quantized)

    def _dynamic_product(self, node: onnx.NodeProto) -> None:
        weight, scale, _ = self._weight(node.input[1])
        inputs = [node.input[0], weight, scale, "", ""]
        self._append("DynamicQuantizeMatMul", inputs, node)

    def _static_product(self, node: onnx.NodeProto) -> None:
        data, scale, zero_point = self._activation(node.input[0])
        weight, weight_scale, _ = self._weight(node.input[1])
        inputs = [data, weight, scale, weight_scale, zero_point, "", ""]
        self._append("MatMulIntegerToFloat", inputs, node)

    def _append(self, kind: str, inputs: list[str], node: onnx.NodeProto) -> None:
        self._nodes.append(
            helper.make_node(kind, inputs, list(node.output), node.name, domain=_CONTRIB)
        )

    def _activation(self, name: str) -> list[str]:
        """Return the names of an activation's integers, scale and zero point, made once."""
        if name not in self._quantized:
            parts = [f"{name}_int8", f"{name}_scale", f"{name}_zero_point"]
            self._quantized[name] = parts
            if self._ranges is None:
                node = helper.make_node("DynamicQuantizeLinear", [name], parts)
            else:
                self._constant(parts[1], self._ranges[name].scale)
                self._constant(parts[2], self._ranges[name].zero_point)
                node = helper.make_node("QuantizeLinear", [name, *parts[1:]], parts[:1])
            self._nodes.append(node)
        return self._quantized[name]

    def _weight(self, name: str) -> list[str]:
        """Return the names of a weight's integers, scales and zero points, one per column."""
        values = numpy_helper.to_array(self._weights[name])  # (inputs, columns)
        scale = self._steps[name] if name in self._steps else column_steps(values)
        return [
            self._constant(f"{name}_int8", np.rint(values / scale).astype(np.int8)),
            self._constant(f"{name}_scale", scale),
            self._constant(f"{name}_zero_point", np.zeros(len(scale), dtype=np.int8)),
        ]

    def _constant(self, name: str, value: np.ndarray | np.generic) -> str:
        self._added[name] = numpy_helper.from_array(np.asarray(value), name)
        return name


def _with_biases(nodes: list[onnx.NodeProto], weights: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes with each bias inside the integer product it is added to."""
    products = {
        node.output[0]: node
        for node in nodes
        if node.op_type in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat")
    }
    readers = Counter(name for node in nodes for name in node.input)
    kept = []
    for node in nodes:
        product = products.get(node.input[0]) if node.op_type == "Add" else None
        if product is not None and node.input[1] in weights and readers[node.input[0]] == 1:
            product.input[-1], product.output[0] = node.input[1], node.output[0]
        else:
            kept.append(node)
    return kept


def _without_clips(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return the nodes without the Clips of `export.precision.split` that fixed ranges replace.

    A Clip's limit is its range's end or beyond it: integers are cut off there anyway. A Clip that
    something else reads stays: a product in FP32, or scales of the moment.
    """
    clipped = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Clip"}
    for node in nodes:
        if node.op_type == "QuantizeLinear":
            node.input[0] = clipped.get(node.input[0], node.input[0])
    read = {name for node in nodes for name in node.input}
    return [node for node in nodes if node.op_type != "Clip" or node.output[0] in read]


def _check(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    fp32_nodes: Collection[str],
    *,
    static: bool,
) -> None:
    """Hold the quantized graph against the products it was made from."""
    products = quantized_products(before)
    expected = Counter(node.op_type for node in products if node.name not in fp32_nodes)
    types = {node.op_type for node in products}
    counts = Counter(node.op_type for node in after.graph.node)
    product = "MatMulIntegerToFloat" if static else "DynamicQuantizeMatMul"
    for kind, name in (("MatMul", product), ("Attention", "QAttention")):
        if kind not in types or counts[name] != expected[kind]:
            raise GraphError(
                f"expected {expected[kind] or 'some'} {name} nodes in the INT8 graph, "
                f"got {counts[name]}"
            )
