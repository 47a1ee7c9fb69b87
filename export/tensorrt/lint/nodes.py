"""Owns the rules for operators: known to TensorRT, in types it computes, one float type each."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from export.tensorrt.lint.finding import Finding, error
from export.tensorrt.lint.subject import Subject, label, type_name
from export.tensorrt.matrix import (
    CONSTANT_INPUTS,
    FIRST_INPUT_IS_DATA,
    SOURCE,
    STANDARD_DOMAINS,
    SUPPORTED,
)

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def check_nodes(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with single nodes."""
    for node in subject.nodes:
        if node.domain not in STANDARD_DOMAINS:
            yield error(
                "contrib-operator",
                label(node),
                "a standard ONNX operator",
                f"one of domain {node.domain}",
                "export the unfused graph: python -m export --tensorrt",
            )
        elif node.op_type not in SUPPORTED:
            yield error(
                "unsupported-operator",
                label(node),
                f"an operator of the support matrix ({SOURCE})",
                node.op_type,
                "replace it by supported operators or a plugin",
            )
        else:
            yield from _check_types(subject, node)
            yield from _check_restrictions(subject, node)


def _check_types(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    data = node.input[:1] if node.op_type in FIRST_INPUT_IS_DATA else node.input
    kinds = {subject.types[name]: name for name in data if name in subject.types}
    for kind, name in kinds.items():
        if kind not in SUPPORTED[node.op_type]:
            known = ", ".join(type_name(known) for known in sorted(SUPPORTED[node.op_type]))
            yield error(
                "unsupported-type",
                label(node),
                f"{known} ({SOURCE})",
                f"{type_name(kind)} in {name}",
                "cast it before",
            )
    floats = [type_name(kind) for kind in kinds if kind in _FLOATS]
    if len(floats) > 1:
        yield error(
            "mixed-types",
            label(node),
            "one float type, for a strongly typed network casts nothing by itself",
            " and ".join(sorted(floats)),
            "write the Cast into the graph",
        )


def _check_restrictions(subject: Subject, node: onnx.NodeProto) -> Iterator[Finding]:
    place = CONSTANT_INPUTS.get(node.op_type)
    if place is not None and len(node.input) > place:
        name = node.input[place]
        if name and name not in subject.constants:
            yield error(
                "not-constant",
                label(node),
                f"input {place} to be known when the engine is built ({SOURCE})",
                f"{name}, which is computed",
                "fold it into a constant",
            )
    if node.op_type == "LayerNormalization" and any(node.output[1:]):
        yield error(
            "unsupported-output",
            label(node),
            f"its first output only ({SOURCE})",
            f"{len(node.output)} outputs",
            "drop mean and deviation",
        )
