"""Owns fusion, and the contract that says it happened.

A rule that matches nothing warns of nothing, so the number of fused nodes is stated per layer and
asserted. The rules for exact GELU are onnxscript's; the others lie beside this file.
"""

from __future__ import annotations

from collections import Counter

import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.rewriter.ort_fusions.bias_gelu import bias_gelu_rules
from onnxscript.rewriter.ort_fusions.erfgelu import rules as gelu_rules

from export.checkpoint import Shape
from export.fusion.attention import FuseAttention
from export.fusion.edit import CONTRIB, apply, module_of
from export.fusion.embedding import FuseEmbeddings
from export.fusion.gelu import FuseFastGelu
from export.fusion.norm import FuseSkipLayerNorm
from serve.errors import GraphError
from serve.tensors import ATTENTION_MASK

_EMBED = "EmbedLayerNormalization"
_GELUS = {"gelu": "BiasGelu", "gelu_new": "FastGelu"}


def fuse(graph: onnx.ModelProto, shape: Shape) -> onnx.ModelProto:
    """Return the graph with attention, LayerNorm, GELU and embeddings fused.

    Raises:
        GraphError: If fewer nodes were fused than the contract says.
    """
    model = ir.from_proto(graph)
    (mask,) = (value for value in model.graph.inputs if value.name == ATTENTION_MASK.name)
    apply(model, *(FuseEmbeddings(mask, has_token_types=known) for known in (True, False)))
    for embed in [node for node in model.graph if node.op_type == _EMBED]:
        apply(model, FuseAttention(shape, num_tokens=embed.outputs[1]))
    apply(model, FuseSkipLayerNorm(), FuseFastGelu())
    for exact_gelu in (gelu_rules, bias_gelu_rules):
        exact_gelu.apply_to_model(model)
    common.RemoveUnusedNodesPass()(model)
    model.opset_imports[CONTRIB] = 1
    _name_gelus(model.graph)
    fused = ir.to_proto(model)
    del fused.graph.value_info[:]  # conversions write their own
    check_fusion(fused, shape)
    return fused


def _name_gelus(graph: ir.Graph) -> None:
    """Name GELU nodes as the rules of `export.fusion` name theirs: after the module."""
    for node in graph:
        if node.op_type in _GELUS.values() and node.inputs[0] is not None:
            node.name = f"{module_of(node.inputs[0])}/{node.op_type}"


def expected_fusion(shape: Shape) -> dict[str, int]:
    """Return how many nodes of each fused operator a BERT of a shape must have.

    An activation that is no GELU has no fused form, and none is expected of it; the report says so.
    """
    gelu = {_GELUS[shape.activation]: shape.num_layers} if shape.activation in _GELUS else {}
    return {
        "Attention": shape.num_layers,
        "SkipLayerNormalization": 2 * shape.num_layers,
        **gelu,
        _EMBED: 1,
    }


def count_fused(graph: onnx.ModelProto, shape: Shape) -> dict[str, int]:
    """Return how many nodes of each operator of the contract a graph has."""
    counts = Counter(node.op_type for node in graph.graph.node)
    return {name: counts[name] for name in expected_fusion(shape)}


def own_operators(graph: onnx.ModelProto) -> dict[str, int]:
    """Return how many nodes of each of ONNX Runtime's own operators a graph has, by name."""
    counts = Counter(node.op_type for node in graph.graph.node if node.domain == CONTRIB)
    return dict(sorted(counts.items()))


def check_fusion(graph: onnx.ModelProto, shape: Shape) -> None:
    """Hold a graph against the fusion contract.

    Raises:
        GraphError: Naming each operator whose count is not the expected one.
    """
    expected, got = expected_fusion(shape), count_fused(graph, shape)
    if got != expected:
        missing = ", ".join(
            f"{name} {got[name]} of {count}"
            for name, count in expected.items()
            if got[name] != count
        )
        raise GraphError(
            f"expected {shape.num_layers} layers to be fused whole, got {missing}; "
            "use a supported BERT family and the pinned versions of torch and transformers"
        )
