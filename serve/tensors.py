"""Owns the contract between graphs and code: the model's inputs and outputs by name, type and axes.

Axes: B batch, T tokens, L tags. Every graph of a bundle has exactly these tensors; padding stands
on the right, because fused attention assumes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and axes of a graph's input or output.

    Attributes:
        name: Name in the graph.
        dtype: Element type as numpy names it.
        axes: Names of the dimensions, in order.
    """

    name: str
    dtype: Literal["int64", "int32", "float32"]
    axes: tuple[str, ...]


IdType = Literal["int64", "int32"]
"""Element type of a graph's inputs: int64, but for graphs that are made for TensorRT."""

INPUT_IDS = TensorSpec("input_ids", "int64", ("B", "T"))
ATTENTION_MASK = TensorSpec("attention_mask", "int64", ("B", "T"))
LOGITS = TensorSpec("logits", "float32", ("B", "T", "L"))

INPUTS = (INPUT_IDS, ATTENTION_MASK)
OUTPUTS = (LOGITS,)
