"""Owns fusion, and the contract that says it happened.

ONNX Runtime's BERT optimizer warns of nothing when it fuses nothing, so the number of fused nodes
is stated per layer and asserted.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.onnx_model import OnnxModel

from export.checkpoint import Shape
from export.embeddings import counts_positions, fold_token_types
from serve.errors import GraphError

_CONTRIB = "com.microsoft"  # domain of ONNX Runtime's own operators
_EMBED = "EmbedLayerNormalization"
_GELUS = {"gelu": "BiasGelu", "gelu_new": "FastGelu"}


def fuse(graph: onnx.ModelProto, shape: Shape) -> onnx.ModelProto:
    """Return the graph with attention, LayerNorm, GELU and embeddings fused.

    Raises:
        GraphError: If fewer nodes were fused than the contract says.
    """
    if counts_positions(graph):
        fold_token_types(graph)
    fused = optimizer.optimize_model(
        graph,
        model_type="bert",
        num_heads=shape.num_heads,
        hidden_size=shape.hidden_size,
        opt_level=0,  # no pre-pass of the runtime: its layout would hide the patterns
    )
    check_fusion(fused.model, shape)
    _fold_token_types(fused)
    fused.prune_graph()
    model: onnx.ModelProto = fused.model
    if _CONTRIB not in (opset.domain for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_CONTRIB, 1))
    return model


def expected_fusion(shape: Shape) -> dict[str, int]:
    """Return how many nodes of each fused operator a BERT of a shape must have.

    An activation that is no GELU has no fused form, and none is expected of it.
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
    counts = Counter(
        node.op_type
        for node in graph.graph.node
        if node.domain == _CONTRIB or node.op_type == "SimplifiedLayerNormalization"
    )
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


def _fold_token_types(fused: OnnxModel) -> None:
    """Add the embedding of token type 0, the only one a tagger sees, to the positions'.

    This takes a dozen small shape operators off each run.
    """
    (embed,) = fused.get_nodes_by_op_type(_EMBED)
    if len(embed.input) < 5 or not embed.input[4]:
        return  # a family without token types, or one whose were folded before fusion
    positions, token_types = (fused.get_initializer(embed.input[i]) for i in (3, 4))
    folded = numpy_helper.to_array(positions) + numpy_helper.to_array(token_types)[0]
    positions.CopyFrom(numpy_helper.from_array(folded.astype(np.float32), positions.name))
    embed.input[1] = embed.input[4] = ""
