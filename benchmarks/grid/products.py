"""Owns a graph's products with weights and nothing else: what INT8 hardly runs faster than.

Every weight of the INT8 graph is multiplied once with integers, in ONNX Runtime, as in the graph;
nothing is quantized, normalized or attended to. All weights are the model's own, so they come from
wherever the caches have them, as they do for a line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from export.config import IR_VERSION, OPSET
from serve.running.threads import default_num_threads

PRODUCTS = ("MatMulIntegerToFloat", "QAttention")
"""Operators of the INT8 graph whose second input is a weight."""


def weights_of(int8: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return the weights of an INT8 graph's products, each as often as it is used."""
    tensors = {tensor.name: tensor for tensor in int8.graph.initializer}
    return [tensors[node.input[1]] for node in int8.graph.node if node.op_type in PRODUCTS]


def products_graph(weights: list[onnx.TensorProto]) -> bytes:
    """Return a graph of one integer product a weight; all of one depth share their rows."""
    depths = sorted({weight.dims[0] for weight in weights})
    nodes = [
        helper.make_node("MatMulInteger", [f"rows{weight.dims[0]}", weight.name], [f"sums{number}"])
        for number, weight in enumerate(weights)
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info(f"rows{k}", TensorProto.UINT8, ["M", k]) for k in depths],
        [
            helper.make_tensor_value_info(f"sums{n}", TensorProto.INT32, ["M", weight.dims[1]])
            for n, weight in enumerate(weights)
        ],
        list({weight.name: weight for weight in weights}.values()),
    )
    opset = helper.make_opsetid("", OPSET)
    content: bytes = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION
    ).SerializeToString()
    return content


class Products:
    """The products on one thread and on one a core, four at most: the quicker is the bound."""

    def __init__(self, int8: onnx.ModelProto) -> None:
        """Take the INT8 graph."""
        content = products_graph(weights_of(int8))
        self._sessions = {n: open_session(content, n) for n in sorted({1, default_num_threads()})}

    def runners(self, num_rows: int) -> dict[str, Callable[[], object]]:
        """Return what to call for a line of so many tokens, by a name with its threads."""
        rng = np.random.default_rng(num_rows)
        first = next(iter(self._sessions.values()))
        feeds = {
            rows.name: rng.integers(0, 256, (num_rows, rows.shape[1]), dtype=np.uint8)
            for rows in first.get_inputs()
        }
        return {
            f"products alone, threads: {num_threads}": partial(session.run, None, feeds)
            for num_threads, session in self._sessions.items()
        }


def open_session(content: bytes, num_threads: int) -> ort.InferenceSession:
    """Return a session of products on so many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # as serve.session
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
