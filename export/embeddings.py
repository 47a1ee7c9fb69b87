"""Owns what RoBERTa's embeddings need before fusion, which ONNX Runtime's optimizer does not know.

RoBERTa numbers its tokens from the padding's id + 1 on and leaves padding out of the count, so its
positions are computed from the input ids, and its token types (all 0) from the positions. Without
the token types what is left is a sum of two embeddings with stated positions, which is fused whole.
The positions stay computed: so they are right for whatever ids come in.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from serve.errors import GraphError

_TOKEN_TYPES = ".embeddings.token_type_embeddings.weight"
_POSITIONS = ".embeddings.position_embeddings.weight"


def counts_positions(graph: onnx.ModelProto) -> bool:
    """Return whether a graph computes its positions from its input ids."""
    return any(node.op_type == "CumSum" for node in graph.graph.node)


def fold_token_types(graph: onnx.ModelProto) -> None:
    """Add the embedding of token type 0, the only one a tagger sees, to those of the positions.

    Args:
        graph: An unfused graph that counts its positions; changed in place.

    Raises:
        GraphError: If its embeddings are not of RoBERTa's form.
    """
    tables = {t.name: t for t in graph.graph.initializer}
    types, positions = (_ending(tables, suffix) for suffix in (_TOKEN_TYPES, _POSITIONS))
    folded = numpy_helper.to_array(positions) + numpy_helper.to_array(types)[0]
    positions.CopyFrom(numpy_helper.from_array(folded.astype(np.float32), positions.name))
    gathered = {n.output[0] for n in graph.graph.node if types.name in n.input}
    sums = [n for n in graph.graph.node if n.op_type == "Add" and gathered & set(n.input)]
    if len(sums) != 1:
        raise GraphError(f"expected one sum with token types, got {len(sums)}")
    (words,) = (name for name in sums[0].input if name not in gathered)
    for node in graph.graph.node:
        node.input[:] = [words if name == sums[0].output[0] else name for name in node.input]


def _ending(tables: dict[str, onnx.TensorProto], suffix: str) -> onnx.TensorProto:
    found = [table for name, table in tables.items() if name.endswith(suffix)]
    if len(found) != 1:
        raise GraphError(f"expected one embedding table *{suffix}, got {len(found)}")
    return found[0]
