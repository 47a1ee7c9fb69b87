"""Owns what the rules share: what a rule is, how it is applied, names, what counts as a weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import onnx_ir as ir
from onnxscript.rewriter import pattern

CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


class Rule(Protocol):
    """A rewrite in three parts; arguments of equal name stand for the same value in each."""

    @property
    def target(self) -> Callable[..., Any]:
        """Builds the nodes to find."""

    @property
    def holds(self) -> Callable[..., bool]:
        """Says whether what was found is what the new node computes."""

    @property
    def replacement(self) -> Callable[..., ir.Value]:
        """Builds the node that takes their place."""


def apply(model: ir.Model, *rules: Rule) -> None:
    """Apply rules wherever they match; what nothing reads any more is removed."""
    made = [pattern.RewriteRule(rule.target, rule.replacement, rule.holds) for rule in rules]
    pattern.RewriteRuleSet(made).apply_to_model(model)


def is_weight(value: ir.Value | None) -> bool:
    """Return whether a value is known when the graph is built."""
    return value is not None and value.const_value is not None


def module_of(value: ir.Value) -> str:
    """Return the PyTorch module whose node made a value, as `export.graph` named it."""
    node = value.producer()
    return (node.name or "").rpartition("/")[0] if node is not None else ""
