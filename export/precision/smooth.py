"""Owns the step before INT8 that makes an activation's channels alike.

A few channels of BERT's layer norms are up to forty times as large as the others, which are left
few of the 255 steps. So each channel is divided by a factor, and its row of the weights that read
it is multiplied by it (SmoothQuant, Xiao et al. 2022, arXiv:2211.10438): the same sums. Weights
have a scale for each column, and bear it well.

* What attention gives is divided inside attention, by its value weights: that costs nothing.
* A layer norm in front of the feed-forward product is read by the residual sum, too, so a Mul of
  its own divides it: about 1 us for 8 x 384 numbers on one core of a Zen 5.

The other activations stay as they are: layer norms in front of attention reach a third as far, and
dividing them, or what GELU gives, brought no answer nearer to PyTorch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.precision.calibration import run_activations
from export.precision.int8 import quantized_nodes
from serve.encoding import EncodedBatch

MIGRATION = 0.7
"""How much of a channel's reach goes over to the weights, from 0, none, to 1, all of it."""
_SMALLEST = 1e-5  # a channel that is always 0 has no reach

Reach = Mapping[str, NDArray[np.float32]]


def channel_reach(
    model: onnx.ModelProto, batches: Iterable[EncodedBatch]
) -> dict[str, NDArray[np.float32]]:
    """Return the largest magnitude of each channel of what `smooth` divides.

    Args:
        model: A graph that `export.fusion.cpu.for_cpu` made.
        batches: What to measure on, without padding.

    Returns:
        By the activation's name. Shape: (channels,).
    """
    names = list(_divided(model))
    reach: dict[str, NDArray[np.float32]] = {}
    for activations in run_activations(model, names, batches):
        for name, value in activations.items():
            largest = np.abs(value).max(axis=(0, 1))
            reach[name] = np.maximum(reach.get(name, largest), largest)
    return reach


def smooth(model: onnx.ModelProto, reach: Reach) -> onnx.ModelProto:
    """Return a copy of a graph whose activations are divided by channel; the logits are the same.

    Args:
        model: The graph.
        reach: What `channel_reach` gives for it.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = _Weights(copy)
    made_by = {name: node for node in copy.graph.node for name in node.output}
    divisions: dict[str, onnx.NodeProto] = {}
    for name, product in _divided(copy).items():
        rows = weights.array(product.input[1])
        factors = _factors(reach[name], rows)
        weights.replace(product, 1, rows * factors[:, None])
        if made_by[name].op_type == "Attention":
            _divide_values(made_by[name], factors, weights)
        else:
            divisions[product.name] = weights.division(product, factors)
    nodes = list(copy.graph.node)
    del copy.graph.node[:]
    for node in nodes:
        copy.graph.node.extend([divisions[node.name]] if node.name in divisions else [])
        copy.graph.node.append(node)
    weights.write()
    return copy


def _divided(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Return the product that reads each activation to divide, by the activation's name."""
    products = set(quantized_nodes(model))
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    return {
        node.input[0]: node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.name in products
        and made_by[node.input[0]] in ("Attention", "LayerNormalization")
    }


def _factors(reach: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each channel is divided by, 1 on the geometric mean. Shape: (channels,)."""
    of_weights = np.maximum(np.abs(rows).max(axis=1), _SMALLEST)
    factors = np.maximum(reach, _SMALLEST) ** MIGRATION / of_weights ** (1 - MIGRATION)
    even: NDArray[np.float32] = factors / np.exp(np.log(factors).mean())
    return even


def _divide_values(
    attention: onnx.NodeProto, factors: NDArray[np.float32], weights: _Weights
) -> None:
    """Divide what attention gives: its values are the last third of the projection's columns."""
    for place in (1, 2):  # weights, bias
        columns = weights.array(attention.input[place]).copy()
        columns[..., -len(factors) :] /= factors
        weights.replace(attention, place, columns)


class _Weights:
    """A graph's weights, of which a node may get a copy of its own."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def array(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self._tensors[name])

    def replace(self, node: onnx.NodeProto, place: int, values: NDArray[np.float32]) -> None:
        """Give a node other weights, under a name of their own: others may read the old ones."""
        node.input[place] = self._add(f"{node.name}/{place}", values)

    def division(self, product: onnx.NodeProto, factors: NDArray[np.float32]) -> onnx.NodeProto:
        """Return the node that divides what a product reads, and let the product read that."""
        name = product.input[0]
        shares = self._add(f"{name}/shares", np.reciprocal(factors))
        product.input[0] = f"{name}/even"
        return helper.make_node("Mul", [name, shares], [f"{name}/even"], name=f"{name}/Mul")

    def write(self) -> None:
        """Put the weights that some node reads into the graph."""
        used = {name for node in self._model.graph.node for name in node.input}
        kept = [tensor for name, tensor in self._tensors.items() if name in used]
        del self._model.graph.initializer[:]
        self._model.graph.initializer.extend(kept)

    def _add(self, name: str, values: NDArray[np.float32]) -> str:
        self._tensors[name] = numpy_helper.from_array(values.astype(np.float32), name)
        return name
