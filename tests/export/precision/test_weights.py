"""A graph that is rewritten: all of it is copied but its weights, taken over at the end."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.precision.weights import Weights, without_weights


def product(num_rows: int) -> onnx.ModelProto:
    """Return a graph of one product, with what else a model may hold."""
    values = helper.make_tensor_value_info("values", TensorProto.FLOAT, ["lines", num_rows])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["lines", 64])
    node = helper.make_node("MatMul", ["values", "weight"], ["sums"], name="product")
    weight = numpy_helper.from_array(np.ones((num_rows, 64), dtype=np.float32), "weight")
    graph = helper.make_graph([node], "graph", [values], [sums], [weight], doc_string="why")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"made by": "hand"})
    return model


def test_a_copy_without_weights_has_all_else_and_their_names() -> None:
    model = product(4096)
    copy = without_weights(model)
    assert copy.ByteSize() < 1000 < model.ByteSize()
    assert [tensor.name for tensor in copy.graph.initializer] == ["weight"]
    del model.graph.initializer[:], copy.graph.initializer[:]
    assert copy.graph == model.graph
    for name in ("opset_import", "ir_version", "metadata_props"):
        assert getattr(copy, name) == getattr(model, name)


def test_weights_are_written_once_and_the_graph_they_come_from_is_left_as_it_is() -> None:
    model = product(8)
    before = model.SerializeToString()
    copy, weights = without_weights(model), Weights(model)
    weights.replace(copy.graph.node[0], 1, 2 * weights.array("weight"))
    weights.write(copy)
    assert [tensor.name for tensor in copy.graph.initializer] == ["product/1"]
    assert (numpy_helper.to_array(copy.graph.initializer[0]) == 2).all()
    assert model.SerializeToString() == before
