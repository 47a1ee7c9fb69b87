"""Owns the few edits of a graph that the TensorRT line is made of; knows no precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from serve.errors import GraphError


def constant(graph: ir.Graph, name: str, value: NDArray[np.generic]) -> ir.Value:
    """Add an initializer and return it."""
    tensor = ir.Tensor(value, name=name)
    held = ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(value.shape),
        const_value=tensor,
    )
    graph.register_initializer(held)
    return held


def insert_before(graph: ir.Graph, place: ir.Node, nodes: Sequence[ir.Node]) -> None:
    """Insert nodes before another; each result is named after its node."""
    for node in nodes:
        node.outputs[0].name = f"{node.name}_output"
    graph.insert_before(place, nodes)


def moved(graph: ir.Graph, scaling: ir.Node, product: ir.Node) -> None:
    """Let a node that scales a matrix product scale the product's first factor instead."""
    scaled = ir.node(
        scaling.op_type, [product.inputs[0], scaling.inputs[1]], name=f"{scaling.name}_query"
    )
    insert_before(graph, product, [scaled])
    product.replace_input_with(0, scaled.outputs[0])
    scaling.outputs[0].replace_all_uses_with(product.outputs[0])


def attention_softmaxes(graph: ir.Graph) -> list[ir.Node]:
    """Return the softmax of each attention.

    Raises:
        GraphError: If there is none.
    """
    nodes = [node for node in graph if node.op_type == "Softmax"]
    if not nodes:
        raise GraphError("expected attention with a Softmax in the graph, got none")
    return nodes
