"""Tests the graph that `encoder` runs: one that TensorRT takes has a name of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from serve.bundle import Bundle
from serve.encoder_graph import TENSORRT, TENSORRT_GRAPH, read_encoder_graph
from serve.encoding import EncodedBatch
from serve.errors import BundleError
from serve.session import OrtBackend
from tests.serve.tiny import add_tensorrt_graph, replace_file


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


def test_a_graph_for_tensorrt_in_a_folder_elsewhere_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    add_tensorrt_graph(bundle)
    shutil.move(bundle / TENSORRT, tmp_path / "outside")
    (bundle / TENSORRT).symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"expected a file in the bundle, got a link; export aga"):
        read_encoder_graph(Bundle.load(bundle))


def test_a_graph_for_tensorrt_with_weights_elsewhere_is_refused(bundle: Path) -> None:
    add_tensorrt_graph(bundle)
    model = onnx.load(bundle / TENSORRT_GRAPH)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../outside/weights.bin")
    replace_file(bundle, TENSORRT_GRAPH, model.SerializeToString())
    with pytest.raises(BundleError, match=r"expected every weight in the file, got 'embedding' el"):
        read_encoder_graph(Bundle.load(bundle))
