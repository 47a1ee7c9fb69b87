"""Owns the step before INT8 that makes an activation's channels alike.

A few channels of BERT's layer norms are up to forty times as large as the others, which are left
few of the 255 steps. So each channel is divided by a factor, and its row of the weights that read
it is multiplied by it (SmoothQuant, Xiao et al. 2022, arXiv:2211.10438): the same sums. Weights
have a scale for each column, and bear it well.

* What attention gives is divided inside attention, by its value weights: that costs nothing.
* A layer norm in front of the feed-forward product is read by the residual sum, too, so a Mul of
  its own divides it: about 1 us for 8 x 384 numbers on one core of a Zen 5.

Layer norms in front of attention stay as they are: they reach a third as far, and dividing them
brought no answer nearer to PyTorch's. What GELU gives is for `export.precision.split`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.precision.calibration import run_activations
from export.precision.int8 import quantized_nodes
from export.precision.weights import Weights, insert_before, without_weights
from serve.encoding import EncodedBatch
from serve.errors import GraphError

MIGRATION = 0.7
"""How much of a channel's reach goes over to the weights, from 0, none, to 1, all of it."""
_SMALLEST = 1e-5  # a channel that is always 0 has no reach

Reach = Mapping[str, NDArray[np.float32]]


def channel_reach(
    model: onnx.ModelProto, names: Sequence[str], batches: Iterable[EncodedBatch]
) -> dict[str, NDArray[np.float32]]:
    """Return the largest magnitude of each channel of some activations.

    Args:
        model: A graph that `export.fusion.cpu.for_cpu` made.
        names: The activations.
        batches: What to measure on, without padding.

    Returns:
        By the activation's name. Shape: (channels,).

    Raises:
        GraphError: If an activation is not finite.
    """
    reach: dict[str, NDArray[np.float32]] = {}
    for activations in run_activations(model, names, batches):
        for name, value in activations.items():
            largest = np.abs(value).max(axis=(0, 1))
            if not np.isfinite(largest).all():
                raise GraphError(f"expected {name} to be finite on the calibration lines")
            reach[name] = np.maximum(reach.get(name, largest), largest)
    return reach


def divided(model: onnx.ModelProto) -> list[str]:
    """Return the names of the activations that `smooth` divides."""
    return list(_divided(model))


def smooth(model: onnx.ModelProto, reach: Reach) -> onnx.ModelProto:
    """Return a copy of a graph whose activations are divided by channel; the logits are the same.

    Args:
        model: The graph.
        reach: What `channel_reach` gives for it.
    """
    copy = without_weights(model)
    weights = Weights(model)
    made_by = {name: node for node in copy.graph.node for name in node.output}
    divisions: dict[str, onnx.NodeProto] = {}
    for name, product in _divided(copy).items():
        rows = weights.array(product.input[1])
        factors = _factors(reach[name], rows)
        weights.replace(product, 1, rows * factors[:, None])
        if made_by[name].op_type == "Attention":
            _divide_values(made_by[name], factors, weights)
        else:
            divisions[product.name] = _division(product, factors, weights)
    insert_before(copy, divisions)
    weights.write(copy)
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
    attention: onnx.NodeProto, factors: NDArray[np.float32], weights: Weights
) -> None:
    """Divide what attention gives: its values are the last third of the projection's columns."""
    for place in (1, 2):  # weights, bias
        columns = weights.array(attention.input[place]).copy()
        columns[..., -len(factors) :] /= factors
        weights.replace(attention, place, columns)


def _division(
    product: onnx.NodeProto, factors: NDArray[np.float32], weights: Weights
) -> onnx.NodeProto:
    """Return the node that divides what a product reads, and let the product read that."""
    name = product.input[0]
    shares = weights.add(f"{name}/shares", np.reciprocal(factors))
    product.input[0] = f"{name}/even"
    return helper.make_node("Mul", [name, shares], [f"{name}/even"], name=f"{name}/Mul")
