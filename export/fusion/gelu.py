"""Owns the rule for GELU's tanh form as transformers spells it, with its bias: one `FastGelu`.

The exact form is matched by onnxscript's own rules, which give `BiasGelu`.
"""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from export.fusion.edit import CONTRIB, is_weight


class FuseFastGelu:
    """`x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))` of `x = product + bias`."""

    def target(self, op: Any, product: Any, bias: Any) -> Any:
        """Return the nodes to find."""
        x = op.Add(product, bias)
        cubic = op.Add(x, op.Mul(op.Pow(x, 3.0), 0.044715))
        tanh = op.Tanh(op.Mul(cubic, math.sqrt(2 / math.pi)))
        return op.Mul(op.Mul(x, 0.5), op.Add(tanh, 1.0))

    def holds(self, context: Any, bias: ir.Value, **_: Any) -> bool:
        """Return whether what was found is what the new node computes."""
        return is_weight(bias) and bias.shape is not None and len(bias.shape) == 1

    def replacement(self, op: Any, product: ir.Value, bias: ir.Value) -> ir.Value:
        """Return the node that takes their place."""
        fused: ir.Value = op.FastGelu(product, bias, _domain=CONTRIB)
        return fused
