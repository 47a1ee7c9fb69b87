"""Tests the ONNX Runtime session: what it refuses, and that its answers are the graph's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from serve import session
from serve.bundle import Provider
from serve.encoding import EncodedBatch, Encoder
from serve.errors import GraphError
from serve.session import OrtBackend, default_provider
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


def test_threads_leave_the_cores_to_others_after_a_run() -> None:
    """What ONNX Runtime keeps of it: nothing timed can tell on every machine."""
    options = OrtBackend(tiny_graph())._session.get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"


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


def test_a_gpu_build_on_a_machine_without_gpu_means_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [*Provider])
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(session, "_GPU_DEVICES", (str(device),))
    assert default_provider() is Provider.CPU
    device.touch()
    assert default_provider() is Provider.CUDA
    monkeypatch.setattr(ort, "get_available_providers", lambda: [Provider.CPU])
    assert default_provider() is Provider.CPU


def test_weights_outside_the_graph_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph = tmp_path / "graph.onnx"
    model = onnx.load_from_string(tiny_graph())
    onnx.save(model, graph, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size > 0
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would look for a graph given as bytes
    with pytest.raises(GraphError, match="expected a graph ONNX Runtime can load"):
        OrtBackend(graph.read_bytes())


def test_ids_beyond_the_embeddings_are_an_error_of_the_graph() -> None:
    ids = np.full((1, 4), 10**6, dtype=np.int64)
    with pytest.raises(GraphError, match=r"expected input_ids of shape \(1, 4\) to run, got"):
        OrtBackend(tiny_graph()).logits(EncodedBatch(ids, np.ones_like(ids)))


class Refusing:
    """ONNX Runtime's class of sessions, where CUDA refuses to record and a CPU runs instead."""

    def __init__(self, graph: bytes, options: object, providers: list[tuple[str, object]]) -> None:
        (name, asked), self.asked = providers[0], providers[0][1]
        assert name == Provider.CUDA
        assert isinstance(asked, dict)
        if asked["enable_cuda_graph"] == "1":
            raise RuntimeError("This session cannot use the graph capture feature\nmore")
        self._session = ort.InferenceSession(graph, providers=[str(Provider.CPU)])

    def get_providers(self) -> list[str]:
        return [str(Provider.CUDA)]

    def get_provider_options(self) -> dict[str, object]:
        return {str(Provider.CUDA): self.asked}

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


def test_a_graph_that_cannot_be_recorded_runs_plainly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batch = EncodedBatch(np.array([[1, 2, 3]]), np.ones((1, 3), dtype=np.int64))
    expected = OrtBackend(tiny_graph()).logits(batch)
    monkeypatch.setattr(
        session, "ort", SimpleNamespace(**vars(ort) | {"InferenceSession": Refusing})
    )
    backend = OrtBackend(tiny_graph(), provider=Provider.CUDA)
    np.testing.assert_array_equal(backend.logits(batch), expected)
    (warning,) = caplog.messages
    assert warning.startswith("expected a graph that can be recorded, got This session cannot")
