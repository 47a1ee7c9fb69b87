"""Owns a graph as the rules look at it: all nodes, constants, types, who makes and reads what.

The file is read without its external data, and no tensor outside it is opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import shape_inference

from serve.errors import GraphError


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A graph under lint.

    Attributes:
        path: Its file.
        model: The graph as it was read.
        nodes: Its nodes, those of branches and loops included.
        constants: Every tensor known before a run, by name.
        types: Element type of each value whose type is known, as in `onnx.TensorProto.DataType`.
        makers: The node that makes a value.
        readers: The nodes that read a value.
    """

    path: Path
    model: onnx.ModelProto
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, onnx.TensorProto]
    types: dict[str, int]
    makers: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]

    @property
    def external(self) -> list[str]:
        """Names of the tensors whose values lie outside the file."""
        held = onnx.TensorProto.EXTERNAL
        return [name for name, tensor in self.constants.items() if tensor.data_location == held]


def read_subject(path: Path) -> Subject:
    """Read a graph.

    Raises:
        GraphError: If the file is no ONNX graph.
        OSError: If it cannot be read.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, UnicodeDecodeError) as error:
        raise GraphError(
            f"{path}: expected an ONNX graph, got {error}; name a .onnx file"
        ) from error
    if not model.graph.node or not model.graph.output:
        raise GraphError(f"{path}: expected an ONNX graph, got no nodes; name a .onnx file")
    graphs = list(_graphs(model.graph))
    nodes = tuple(node for graph in graphs for node in graph.node)
    makers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
    constants = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    constants |= dict(_constant_nodes(nodes))
    return Subject(path, model, nodes, constants, _types(model, constants), makers, readers)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner)


def _constant_nodes(nodes: tuple[onnx.NodeProto, ...]) -> Iterator[tuple[str, onnx.TensorProto]]:
    for node in nodes:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                yield node.output[0], attribute.t


def _types(model: onnx.ModelProto, constants: dict[str, onnx.TensorProto]) -> dict[str, int]:
    """Return the types onnx can infer; behind an operator it does not know they stay unknown."""
    try:
        inferred = shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, ValueError, EncodeError):
        inferred = model  # damaged or beyond 2 GB: the types it states itself
    types = {name: tensor.data_type for name, tensor in constants.items()}
    for graph in _graphs(inferred.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            types[value.name] = value.type.tensor_type.elem_type
    return {name: kind for name, kind in types.items() if kind}


def type_name(kind: int) -> str:
    """Return an element type's name."""
    return str(onnx.TensorProto.DataType.Name(kind))


def label(node: onnx.NodeProto) -> str:
    """Return how a finding names a node."""
    return f"{node.op_type} {node.name or '-> ' + ', '.join(node.output)}"
