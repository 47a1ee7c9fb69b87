"""Owns the rule for attention: eager self-attention of the BERT family to one `Attention` node.

The mask becomes the number of tokens of each text, shape (B,). This is right because padding stands
on the right (`serve.tensors`), and it is the form from which padding can be removed
(`export.fusion.packed`). An additive mask, which onnxscript's own rule leaves, is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from export.checkpoint import Shape
from export.fusion.edit import CONTRIB, is_weight, module_of
from serve.tensors import ATTENTION_MASK

_HEADS_FIRST = [0, 2, 1, 3]  # (B, T, heads, width of a head) to (B, heads, T, width) and back
_KEYS = [0, 2, 3, 1]  # to (B, heads, width, T)
# From the additive mask up to the input: operator, its constants by position.
_MASK_WAY: tuple[tuple[str, dict[int, float | list[int]]], ...] = (
    ("Mul", {1: float(np.finfo(np.float32).min)}),
    ("Sub", {0: 1.0}),
    ("Cast", {}),
    ("Unsqueeze", {1: [1, 2]}),
)


class FuseAttention:
    """Three projections, scaled masked softmax and the weighted sum, as one node."""

    def __init__(self, shape: Shape, num_tokens: ir.Value) -> None:
        """Set what the rule holds a match against.

        Args:
            shape: The model's sizes.
            num_tokens: Number of tokens of each text that are not padding. Shape: (B,)
        """
        self._shape = shape
        self._head_width = shape.hidden_size // shape.num_heads
        self._num_tokens = num_tokens

    def target(
        self, op: Any, x: Any, wq: Any, bq: Any, wk: Any, bk: Any, wv: Any, bv: Any,
        scale: Any, mask: Any, heads: Any, merged: Any,
    ) -> Any:  # fmt: skip
        """Return the nodes to find."""

        def projected(weight: Any, bias: Any, order: list[int], **names: Any) -> Any:
            product = op.Reshape(op.Add(op.MatMul(x, weight), bias), heads, **names)
            return op.Transpose(product, perm=order)

        query = projected(wq, bq, _HEADS_FIRST, _outputs=["by_head"])
        scores = op.MatMul(query, projected(wk, bk, _KEYS))
        weights = op.Softmax(op.Add(op.Mul(scores, scale), mask), axis=-1)
        summed = op.MatMul(weights, projected(wv, bv, _HEADS_FIRST))
        return op.Reshape(op.Transpose(summed, perm=_HEADS_FIRST), merged, _outputs=["out"])

    def holds(
        self, context: Any, by_head: ir.Value, scale: ir.Value, mask: ir.Value, **matched: Any
    ) -> bool:  # fmt: skip
        """Return whether what was found is what the new node computes."""
        sizes = by_head.shape[2:] if by_head.shape is not None else ()
        return (
            tuple(sizes) == (self._shape.num_heads, self._head_width)
            and scale.const_value is not None
            and bool(np.isclose(scale.const_value.numpy(), self._head_width**-0.5))
            and all(is_weight(matched[f"{kind}{part}"]) for kind in "wb" for part in "qkv")
            and is_padding_mask(mask)
        )

    def replacement(self, op: Any, x: ir.Value, out: ir.Value, **matched: ir.Value) -> ir.Value:
        """Return the node that takes their place."""
        place = module_of(out)
        packed = [
            op.initializer(
                ir.tensor(np.concatenate([_array(matched[kind + part]) for part in "qkv"], -1)),
                name=f"{place}.qkv.{name}",
            )
            for kind, name in (("w", "weight"), ("b", "bias"))
        ]
        fused: ir.Value = op.Attention(
            x,
            *packed,
            self._num_tokens,
            num_heads=self._shape.num_heads,
            _domain=CONTRIB,
            _name=f"{place}/Attention",
        )
        return fused


def is_padding_mask(mask: ir.Value) -> bool:
    """Return whether a value is the mask that `export.graph` adds to scores, and nothing else."""
    value: ir.Value | None = mask
    for op_type, constants in _MASK_WAY:
        node = value.producer() if value else None
        if node is None or node.op_type != op_type:
            return False
        for i, expected in constants.items():
            if not is_weight(node.inputs[i]) or not np.array_equal(
                _array(node.inputs[i]), expected
            ):
                return False
        value = next(v for i, v in enumerate(node.inputs) if i not in constants)
    return value is not None and value.is_graph_input() and value.name == ATTENTION_MASK.name


def _array(value: ir.Value | None) -> np.ndarray[Any, np.dtype[Any]]:
    assert value is not None  # is_weight
    assert value.const_value is not None
    return value.const_value.numpy()
