"""Owns the step before INT8 that divides what GELU's outliers reach among several channels.

A few channels of what GELU gives reach four times as far as the others, and one scale for all makes
the steps of all that coarse. Far above 0 GELU, like ReLU, gives what it gets, so that
GELU(x) = min(GELU(x), k) + min(GELU(x - k), k) + min(GELU(x - 2k), k) + ...
A channel that reaches beyond k becomes several, with biases lower by k each, which the following
product reads with the same weights. Integers are cut off at k by themselves, so this costs no more
than the columns: one in a hundred. (Outlier channel splitting, Zhao et al. 2019, arXiv:1901.09504,
halves a channel instead, which GELU does not allow.)
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.precision.int8 import quantized_nodes
from export.precision.weights import Weights, insert_before, without_weights

LEAST_LIMIT = 3.0
"""GELU differs from what it gets by 0.004 there, and by 0.17 at most below."""
MOST_EXTRA = 1 / 96
"""Of the channels; 16 of MiniLM's 1,536."""
_ACTIVATIONS = ("Gelu", "Relu")
_STEP = 0.1


class _Layer(NamedTuple):
    """The nodes of a layer that make and read what its activation gives."""

    inner: onnx.NodeProto
    bias: onnx.NodeProto
    activation: onnx.NodeProto
    outer: onnx.NodeProto


def splittable(model: onnx.ModelProto) -> list[str]:
    """Return the names of the activations that `split` can divide among channels."""
    return [layer.activation.output[0] for layer in _layers(model)]


def split(
    model: onnx.ModelProto,
    reach: Mapping[str, NDArray[np.float32]],
    whole_for: Collection[str] = (),
) -> onnx.ModelProto:
    """Return a copy of a graph whose activations reach less far; the logits are nearly the same.

    Each activation is cut off by a Clip, which `export.precision.int8` leaves to integers of fixed
    ranges.

    Args:
        model: A graph that `export.fusion.cpu.for_cpu` made.
        reach: How far each channel goes, for each of `splittable`. Shape: (channels,)
        whole_for: Names of products that read their activation as it is: those that stay FP32,
            for which nothing has to be cut off.
    """
    copy = without_weights(model)
    weights = Weights(model)
    clips: dict[str, onnx.NodeProto] = {}
    for layer in list(_layers(copy)):  # all of them before any is changed
        if layer.outer.name in whole_for:
            continue
        limit = limit_of(reach[layer.activation.output[0]])
        if sources := _extra(reach[layer.activation.output[0]], limit):
            _widen(layer, sources, limit, weights)
            clips[layer.outer.name] = _clip(layer, limit, weights)
    insert_before(copy, clips)
    weights.write(copy)
    return copy


def limit_of(reach: NDArray[np.float32]) -> float:
    """Return the least limit that takes no more than `MOST_EXTRA` of the channels, or one.

    Halved down to it, and counted without the channels themselves: in a model whose activations
    reach 1e5 there would be millions of them at each of a million limits.
    """
    most = max(1, MOST_EXTRA * len(reach))
    num_steps = int(max(float(reach.max(initial=0.0)) - LEAST_LIMIT, 0.0) / _STEP) + 2

    def suffices(step: int) -> bool:
        return bool(_num_extra(reach, _limit_at(step)).sum(dtype=np.float64) <= most)

    return _limit_at(bisect_left(range(num_steps), True, key=suffices))


def _limit_at(step: int) -> float:
    return round(LEAST_LIMIT + step * _STEP, 1)


def _num_extra(reach: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    """Return how many channels each becomes beside itself. Shape: (channels,)."""
    num_extra: NDArray[np.float32] = np.maximum(np.ceil(reach / np.float32(limit)) - 1, 0)
    return num_extra


def _extra(reach: NDArray[np.float32], limit: float) -> list[tuple[int, int]]:
    """Return the channel of each additional one, and how many limits its bias is lower."""
    return [
        (channel, times)
        for channel, num_extra in enumerate(_num_extra(reach, limit).tolist())
        for times in range(1, int(num_extra) + 1)
    ]


def _layers(model: onnx.ModelProto) -> Iterator[_Layer]:
    products = set(quantized_nodes(model))
    constants = {tensor.name for tensor in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for outer in model.graph.node:
        activation = made_by.get(outer.input[0]) if outer.name in products else None
        if activation is None or activation.op_type not in _ACTIVATIONS:
            continue
        bias = made_by.get(activation.input[0])
        inner = made_by.get(bias.input[0]) if bias is not None and bias.op_type == "Add" else None
        if bias is None or inner is None or inner.name not in products:
            continue
        layer = _Layer(inner, bias, activation, outer)
        if bias.input[1] in constants and all(readers[n.output[0]] == 1 for n in layer[:3]):
            yield layer


def _widen(layer: _Layer, sources: list[tuple[int, int]], limit: float, weights: Weights) -> None:
    channels = [channel for channel, _ in sources]
    lower = limit * np.array([times for _, times in sources], dtype=np.float32)
    inner, outer = weights.array(layer.inner.input[1]), weights.array(layer.outer.input[1])
    bias = weights.array(layer.bias.input[1])
    weights.replace(layer.inner, 1, np.concatenate([inner, inner[:, channels]], axis=1))
    weights.replace(layer.bias, 1, np.concatenate([bias, bias[channels] - lower]))
    weights.replace(layer.outer, 1, np.concatenate([outer, outer[channels]]))


def _clip(layer: _Layer, limit: float, weights: Weights) -> onnx.NodeProto:
    """Return the node that cuts an activation off, and let the product read that."""
    name = layer.activation.output[0]
    most = weights.add(f"{name}/limit", np.array(limit))
    layer.outer.input[0] = f"{name}/clipped"
    return helper.make_node("Clip", [name, "", most], [f"{name}/clipped"], name=f"{name}/Clip")
