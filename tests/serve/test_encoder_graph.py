"""Tests the graph that `encoder` runs: one that TensorRT takes has a name of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from serve.bundle import Bundle
from serve.encoder_graph import TENSORRT_GRAPH, read_encoder_graph
from serve.encoding import EncodedBatch
from serve.session import OrtBackend
from tests.serve.tiny import add_tensorrt_graph


def graph_of(bundle: Path, *, seed: int) -> bytes:
    add_tensorrt_graph(bundle, seed=seed)
    return read_encoder_graph(Bundle.load(bundle))


def test_no_graph_is_taken_for_another_with_the_same_nodes_and_other_weights(bundle: Path) -> None:
    """ONNX Runtime finds an engine it built by these names, and sees no weights."""
    first, again, retrained = (graph_of(bundle, seed=seed) for seed in (1, 1, 2))
    models = [onnx.load_from_string(content) for content in (first, again, retrained)]
    outputs = [[name for node in model.graph.node for name in node.output] for model in models]
    assert outputs[0] == outputs[1] == outputs[2]
    names = [model.graph.name for model in models]
    assert names[0] == names[1] != names[2]


def test_nothing_but_the_name_is_other_than_in_the_bundle(bundle: Path) -> None:
    served = graph_of(bundle, seed=1)
    exported = (bundle / TENSORRT_GRAPH).read_bytes()
    model, expected = onnx.load_from_string(served), onnx.load_from_string(exported)
    onnx.checker.check_model(model, full_check=True)
    assert model != expected
    model.graph.name = expected.graph.name
    assert model == expected
    batch = EncodedBatch(np.array([[2, 4, 3]]), np.ones((1, 3), dtype=np.int64))
    logits = [OrtBackend(c, ids="int32").logits(batch) for c in (served, exported)]
    assert (logits[0] == logits[1]).all()


def test_a_graph_that_tensorrt_does_not_take_is_the_bundles_own(bundle: Path) -> None:
    assert read_encoder_graph(Bundle.load(bundle)) == (bundle / "model_fp32.onnx").read_bytes()
