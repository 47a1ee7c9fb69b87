"""Owns the rule for embeddings: look-ups, their sum and LayerNorm to `EmbedLayerNormalization`.

Token types come as a constant (`export.graph`) and are added to the positions' table: a look-up and
a sum less on each run. Positions that are counted from 0 are left to the operator, which counts the
same way; computed ones (RoBERTa's) are handed to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from export.fusion.edit import CONTRIB, is_weight, module_of
from serve.tensors import INPUT_IDS


class FuseEmbeddings:
    """`LayerNorm(words [+ type 0] + positions)` as one node."""

    def __init__(self, attention_mask: ir.Value, *, has_token_types: bool) -> None:
        """Set what the new node needs beside the match.

        Args:
            attention_mask: The graph's input, from which the node counts each text's tokens.
            has_token_types: Whether the sum to match has a token type in it.
        """
        self._attention_mask = attention_mask
        self._has_token_types = has_token_types

    def target(
        self, op: Any, words: Any, ids: Any, types: Any, table: Any, positions: Any,
        scale: Any, shift: Any,
    ) -> Any:  # fmt: skip
        """Return the nodes to find."""
        summed = op.Gather(words, ids)
        if self._has_token_types:
            summed = op.Add(summed, types)
        summed = op.Add(summed, op.Gather(table, positions))
        return op.LayerNormalization(summed, scale, shift, axis=-1, _outputs=["norm"])

    def holds(
        self, context: Any, words: ir.Value, ids: ir.Value, table: ir.Value,
        types: ir.Value | None = None, **_: Any,
    ) -> bool:  # fmt: skip
        """Return whether what was found is what the new node computes."""
        one_type = types is None or (is_weight(types) and _rows(types) == 1)
        from_input = ids.is_graph_input() and ids.name == INPUT_IDS.name
        return from_input and is_weight(words) and is_weight(table) and one_type

    def replacement(
        self, op: Any, words: ir.Value, ids: ir.Value, table: ir.Value, positions: ir.Value,
        scale: ir.Value, shift: ir.Value, norm: ir.Value, types: ir.Value | None = None,
    ) -> ir.Value:  # fmt: skip
        """Return the node that takes their place."""
        node = norm.producer()
        assert node is not None  # it was matched
        if types is not None:
            table = _with_type(op, table, types)
        given = None if counts_from_zero(positions) else op.Cast(positions, to=ir.DataType.INT32)
        inputs = [
            op.Cast(ids, to=ir.DataType.INT32), None, words, table, None, scale, shift,
            op.Cast(self._attention_mask, to=ir.DataType.INT32), given,
        ]  # fmt: skip
        fused: ir.Value = op.EmbedLayerNormalization(
            *(inputs if given is not None else inputs[:-1]),
            epsilon=node.attributes.get_float("epsilon", 1e-5),
            _domain=CONTRIB,
            _outputs=2,
            _name=f"{module_of(norm)}/EmbedLayerNormalization",
        )[0]
        return fused


def counts_from_zero(positions: ir.Value) -> bool:
    """Return whether positions are the first T of 0, 1, 2 and so on. Shape: (1, T)."""
    node = positions.producer()
    if node is None or node.op_type != "Slice" or len(node.inputs) < 4:
        return False
    counted, start, _, axis = (value.const_value if value else None for value in node.inputs[:4])
    if counted is None or start is None or axis is None:
        return False
    numbers = counted.numpy()
    expected = np.arange(numbers.shape[-1])
    return bool((numbers == expected).all() and start.numpy() == 0 and axis.numpy() in (1, -1))


def _rows(value: ir.Value) -> int:
    assert value.const_value is not None  # is_weight
    return value.const_value.size // value.const_value.shape[-1]  # type: ignore[operator]


def _with_type(op: Any, table: ir.Value, types: ir.Value) -> ir.Value:
    assert table.const_value is not None  # is_weight
    assert types.const_value is not None
    folded = table.const_value.numpy() + types.const_value.numpy().reshape(1, -1)
    value: ir.Value = op.initializer(ir.tensor(folded), name=f"{table.name}_typed")
    return value
