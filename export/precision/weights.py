"""Owns a graph's weights while it is rewritten."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper


class Weights:
    """A graph's weights, of which a node may get a copy of its own."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Take the graph that is rewritten."""
        self._model = model
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

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

    def write(self) -> None:
        """Put the weights that some node reads into the graph."""
        used = {name for node in self._model.graph.node for name in node.input}
        kept = [tensor for name, tensor in self._tensors.items() if name in used]
        del self._model.graph.initializer[:]
        self._model.graph.initializer.extend(kept)
