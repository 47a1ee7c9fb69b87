"""Owns the rule for residuals: bias, residual sum and LayerNorm to one `SkipLayerNormalization`.

onnxscript's own rule leaves four outputs, three of which nobody reads but the kernels would write.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from export.fusion.edit import CONTRIB, is_weight, module_of


class FuseSkipLayerNorm:
    """`LayerNorm((product + bias) + residual)` as one node."""

    def target(
        self, op: Any, product: Any, bias: Any, residual: Any, scale: Any, shift: Any
    ) -> Any:  # fmt: skip
        """Return the nodes to find."""
        summed = op.Add(op.Add(product, bias), residual)
        return op.LayerNormalization(summed, scale, shift, axis=-1, _outputs=["norm"])

    def holds(self, context: Any, bias: ir.Value, **_: Any) -> bool:
        """Return whether what was found is what the new node computes."""
        return is_weight(bias) and bias.shape is not None and len(bias.shape) == 1

    def replacement(
        self, op: Any, product: ir.Value, bias: ir.Value, residual: ir.Value,
        scale: ir.Value, shift: ir.Value, norm: ir.Value,
    ) -> ir.Value:  # fmt: skip
        """Return the node that takes their place."""
        node = norm.producer()
        assert node is not None  # it was matched
        fused: ir.Value = op.SkipLayerNormalization(
            product,
            residual,
            scale,
            shift,
            bias,
            epsilon=node.attributes.get_float("epsilon", 1e-5),
            _domain=CONTRIB,
            _name=f"{module_of(norm)}/SkipLayerNormalization",
        )
        return fused
