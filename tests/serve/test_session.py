"""Tests the ONNX Runtime session: what it refuses, and that its answers are the graph's."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from serve.bundle import Provider
from serve.encoding import Encoder
from serve.errors import GraphError
from serve.session import OrtBackend, available_providers, default_num_threads
from tests.serve.tiny import TAGS, tiny_graph


def test_padding_does_not_change_the_logits_of_a_text(encoder: Encoder) -> None:
    backend = OrtBackend(tiny_graph())
    assert (backend.provider, backend.num_tags) == (Provider.CPU, len(TAGS))
    (text,) = encoder.encode(["fix pump"])
    alone = backend.logits(encoder.collate(text.windows))
    padded = backend.logits(encoder.collate(text.windows, 16))
    assert alone.shape == (1, 4, len(TAGS))
    assert alone.dtype == np.float32
    np.testing.assert_allclose(padded[:, :4], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("graph", [b"", b"no graph", tiny_graph()[:-200]])
def test_bytes_that_are_no_graph_are_refused(graph: bytes) -> None:
    with pytest.raises(GraphError, match="expected a graph ONNX Runtime can load, got"):
        OrtBackend(graph)


def test_a_graph_with_other_tensors_is_refused() -> None:
    with pytest.raises(GraphError, match=r"expected the inputs .*attention_mask.*, got .*mask_2"):
        OrtBackend(tiny_graph(mask="mask_2"))


def test_a_graph_with_another_output_is_refused() -> None:
    names = ["input_ids", "attention_mask"]
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["B", "T"]) for n in names]
    out = helper.make_tensor_value_info("logits", TensorProto.INT64, ["B", "T"])
    graph = helper.make_graph([helper.make_node("Add", names, ["logits"])], "g", ids, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(GraphError, match=r"expected the outputs .*float.*, got .*int64"):
        OrtBackend(model.SerializeToString())


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="this build has CUDA"
)
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
def test_a_provider_this_build_lacks_is_refused_not_replaced() -> None:
    message = r"expected the graph to run on CUDAExecutionProvider, got \['CPUExecutionProvider'\]"
    with pytest.raises(GraphError, match=message):
        OrtBackend(tiny_graph(), provider=Provider.CUDA)
    assert available_providers() == [Provider.CPU]


def test_there_is_a_thread_and_at_most_four() -> None:
    assert 1 <= default_num_threads() <= 4
