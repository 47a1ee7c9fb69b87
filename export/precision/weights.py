"""Owns a graph's weights, and the place of new nodes, while it is rewritten."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from google.protobuf.field_mask_pb2 import FieldMask
from numpy.typing import NDArray
from onnx import numpy_helper

_ALL_BUT_WEIGHTS = FieldMask(
    paths=[
        *(field.name for field in onnx.ModelProto.DESCRIPTOR.fields if field.name != "graph"),
        *(
            f"graph.{field.name}"
            for field in onnx.GraphProto.DESCRIPTOR.fields
            if field.name != "initializer"
        ),
    ]
)


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a graph whose weights are names only.

    Protobuf gives memory back only with the whole message: weights that were copied, and removed
    from the copy, stay as long as it does.
    """
    copy = onnx.ModelProto()
    _ALL_BUT_WEIGHTS.MergeMessage(model, copy)
    names = [tensor.name for tensor in model.graph.initializer]
    copy.graph.initializer.extend(onnx.TensorProto(name=name) for name in names)
    return copy


def insert_before(model: onnx.ModelProto, inserted: Mapping[str, onnx.NodeProto]) -> None:
    """Put a node in front of each of some nodes, which are named."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend([inserted[node.name]] if node.name in inserted else [])
        model.graph.node.append(node)


class Weights:
    """The weights of a graph that is rewritten; a node may get some of its own."""

    def __init__(self, source: onnx.ModelProto) -> None:
        """Take the graph that has them; it is left as it is."""
        self._tensors = {tensor.name: tensor for tensor in source.graph.initializer}

    def array(self, name: str) -> NDArray[np.float32]:
        """Return a weight."""
        return numpy_helper.to_array(self._tensors[name])

    def replace(self, node: onnx.NodeProto, place: int, values: NDArray[np.float32]) -> None:
        """Give a node other weights, under a name of their own: others may read the old ones."""
        node.input[place] = self.add(f"{node.name}/{place}", values)

    def add(self, name: str, values: NDArray[np.float32]) -> str:
        """Add a weight, as float32; return its name."""
        self._tensors[name] = numpy_helper.from_array(values.astype(np.float32), name)
        return name

    def write(self, rewritten: onnx.ModelProto) -> None:
        """Put the weights that some node reads into a graph that has their names only."""
        used = {name for node in rewritten.graph.node for name in node.input}
        kept = [tensor for name, tensor in self._tensors.items() if name in used]
        del rewritten.graph.initializer[:]
        rewritten.graph.initializer.extend(kept)
