"""Owns what FP16 cannot hold: which nodes meet values beyond its range on real lines.

Overflow turns numbers into infinity and answers into noise; underflow turns them into 0. Both are
measured in FP32 on calibration lines: on every tensor of the fused graph, on the sums inside its
layer norms and GELUs, and on the products inside its attention.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.fusion.cpu import parts_for_cpu
from export.precision.calibration import run_activations
from serve.encoding import EncodedBatch

LARGEST = float(np.finfo(np.float16).max)  # 65504
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)  # 6e-8
MAX_VANISHING = 0.1
"""Share of a tensor's numbers that may be too small for FP16 without a look at their node."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What values a tensor took.

    Attributes:
        largest: Largest absolute value; infinity or NaN where one was.
        num_values: How many there were.
        num_vanishing: How many of them are not 0, but closer to it than FP16 can tell.
    """

    largest: float
    num_values: int
    num_vanishing: int

    def __or__(self, other: Extent) -> Extent:
        """Return the extent of both together."""
        return Extent(
            float(np.maximum(self.largest, other.largest)),  # NaN stays NaN
            self.num_values + other.num_values,
            self.num_vanishing + other.num_vanishing,
        )

    @property
    def trouble(self) -> str:
        """What FP16 would do to it; empty if nothing."""
        if not self.largest <= LARGEST:
            return f"values up to {self.largest:.3g} overflow"
        share = self.num_vanishing / max(self.num_values, 1)
        if share > MAX_VANISHING:
            return f"{share:.0%} of the values vanish"
        return ""


def node_name(node: onnx.NodeProto) -> str:
    """Return a node's name, or what stands for it."""
    return str(node.name or node.output[0])


def activation_extents(
    fused: onnx.ModelProto, cpu: onnx.ModelProto, batches: Iterable[EncodedBatch]
) -> dict[str, Extent]:
    """Return the extent of each float tensor of a fused graph.

    Args:
        fused: The graph.
        cpu: The same with its sums in the open, from `export.fusion.cpu.for_cpu`.
        batches: Batches without padding.
    """
    names = [part.output[0] for node in fused.graph.node for part in parts_for_cpu(node)]
    extents: dict[str, Extent] = {}
    for activations in run_activations(cpu, names, batches):
        inside = dict(_inside_attention(fused, activations))
        for name, value in {**activations, **inside}.items():
            new = extent_of(value)
            extents[name] = extents[name] | new if name in extents else new
    return extents


def _inside_attention(
    fused: onnx.ModelProto, activations: dict[str, NDArray[np.float32]]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each attention's projection and its scores before scaling, by made-up names."""
    weights = {tensor.name: tensor for tensor in fused.graph.initializer}
    for node in fused.graph.node:
        if node.op_type == "Attention" and node.input[0] in activations:
            weight, bias = (numpy_helper.to_array(weights[name]) for name in node.input[1:3])
            projected = activations[node.input[0]] @ weight + bias  # (B, T, 3 H)
            heads = onnx.helper.get_node_attr_value(node, "num_heads")
            parts = projected.reshape(*projected.shape[:2], 3, heads, -1).transpose(2, 0, 3, 1, 4)
            yield f"{node.output[0]}_projected", projected
            yield f"{node.output[0]}_scores", parts[0] @ parts[1].swapaxes(-1, -2)


def extent_of(values: NDArray[np.float32]) -> Extent:
    """Return the extent of an array."""
    size = np.abs(values)
    num_vanishing = int(np.count_nonzero((size > 0) & (size < SMALLEST)))
    return Extent(float(size.max(initial=0.0)), size.size, num_vanishing)


def nodes_beyond(fused: onnx.ModelProto, extents: dict[str, Extent]) -> dict[str, str]:
    """Return the nodes that FP16 cannot do justice, each with the reason.

    A node is one of them if a tensor it reads, gives or adds up inside, or a weight of it, is
    beyond FP16's range: a tensor that overflows must pass from FP32 to FP32.
    """
    known = dict(extents)
    known |= {
        tensor.name: extent_of(numpy_helper.to_array(tensor))
        for tensor in fused.graph.initializer
        if tensor.data_type == tensor.FLOAT
    }
    reasons = {}
    for node in fused.graph.node:
        found = [known[name] for name in _tensors(node) if name in known]
        troubles = [extent.trouble for extent in found if extent.trouble]
        if troubles:
            reasons[node_name(node)] = troubles[0]
    return reasons


def _tensors(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for part in parts_for_cpu(node):
        yield from part.output
    if node.op_type == "Attention":
        yield from (f"{node.output[0]}_projected", f"{node.output[0]}_scores")
