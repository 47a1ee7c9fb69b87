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
from serve.running import bound
from serve.session import OrtBackend, default_provider
from tests.serve.forked import holds_in_a_child
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


def test_a_session_does_not_keep_the_file_it_was_loaded_from() -> None:
    assert OrtBackend(tiny_graph())._session._model_bytes is None


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
    pattern, _ = session._GPU_DEVICES
    device = tmp_path / "nvidia3"  # as a container is given one of several
    monkeypatch.setattr(session, "_GPU_DEVICES", (str(tmp_path / Path(pattern).name),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    assert default_provider() is Provider.CPU
    device.touch()
    assert default_provider() is Provider.CUDA
    for hidden in ("", "-1", "-1,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert default_provider() is Provider.CPU
    for seen in ("0", "1,2", "GPU-45f5"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
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


def test_what_a_signal_raises_in_a_run_or_a_load_comes_out_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def strike(*args: object, **options: object) -> None:
        raise TimeoutError("as a job's runner raises it, wherever the job happens to be")

    backend, text = OrtBackend(tiny_graph()), text_of(1, 2, 3)
    with monkeypatch.context() as struck:
        struck.setattr(backend._session, "run", strike)
        with pytest.raises(TimeoutError):
            backend.logits(text)
    assert backend.logits(text).shape == (1, 3, len(TAGS))
    monkeypatch.setattr(ort, "InferenceSession", strike)
    with pytest.raises(TimeoutError):
        OrtBackend(tiny_graph())


class OnCuda:
    """ONNX Runtime's class of sessions, where a CPU runs what CUDA is asked for."""

    can_record = True
    runs: list[str] = []  # noqa: RUF012  what the test looks at

    def __init__(
        self,
        graph: bytes,
        options: object,
        providers: list[tuple[str, dict[str, str]]],
        enable_fallback: int,
    ) -> None:
        self._name, self.asked = providers[0]
        assert not enable_fallback
        if self.asked.get("enable_cuda_graph") == "1" and not self.can_record:
            raise RuntimeError("This session cannot use the graph capture feature as\nmore")
        self._session = ort.InferenceSession(graph, providers=[str(Provider.CPU)])

    def get_providers(self) -> list[str]:
        return [self._name]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {self._name: self.asked}

    def run(self, names: list[str], feeds: dict[str, object], options: ort.RunOptions) -> object:
        if self._name == Provider.CUDA:
            self.runs.append(options.get_run_config_entry("gpu_graph_id") if options else "none")
        return self._session.run(names, feeds)

    def run_with_iobinding(self, binding: ort.IOBinding, options: ort.RunOptions) -> None:
        self.runs.append(options.get_run_config_entry("gpu_graph_id"))
        self._session.run_with_iobinding(binding)

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> type[OnCuda]:
    fresh = type("OnCuda", (OnCuda,), {"runs": []})
    monkeypatch.setattr(session, "ort", SimpleNamespace(**vars(ort) | {"InferenceSession": fresh}))
    monkeypatch.setattr(bound, "_DEVICES", dict.fromkeys(Provider, "cpu"))
    return fresh


def text_of(*ids: int, padding: int = 0) -> EncodedBatch:
    mask = np.ones((1, len(ids)), dtype=np.int64)
    mask[:, len(ids) - padding :] = 0
    return EncodedBatch(np.array([ids]), mask)


def test_single_texts_on_cuda_are_recorded_one_graph_a_length(on_cuda: type[OnCuda]) -> None:
    texts = [text_of(1, 2, 3), text_of(3, 1, 0, padding=1), text_of(1, 2), text_of(2, 2, 2)]
    several = EncodedBatch(np.array([[1, 2, 3], [3, 2, 1]]), np.ones((2, 3), dtype=np.int64))
    plain, backend = OrtBackend(tiny_graph()), OrtBackend(tiny_graph(), provider=Provider.CUDA)
    for batch in (*texts, several):
        np.testing.assert_allclose(backend.logits(batch), plain.logits(batch), atol=1e-6)
    assert backend.replayed == {2, 3}
    assert on_cuda.runs == ["-1", "1", "1", "1", "-1", "2", "2", "1", "-1"]


def test_a_graph_that_cannot_be_recorded_runs_plainly(
    on_cuda: type[OnCuda], caplog: pytest.LogCaptureFixture
) -> None:
    on_cuda.can_record = False
    backend = OrtBackend(tiny_graph(), provider=Provider.CUDA)
    np.testing.assert_array_equal(
        backend.logits(text_of(1, 2, 3)), OrtBackend(tiny_graph()).logits(text_of(1, 2, 3))
    )
    assert (backend.replayed, on_cuda.runs) == (frozenset(), ["none"])
    (warning,) = caplog.messages
    assert warning.startswith("expected a graph that can be recorded, got This session cannot")


def test_a_graph_is_not_recorded_where_that_is_not_wanted(on_cuda: type[OnCuda]) -> None:
    backend = OrtBackend(tiny_graph(), provider=Provider.CUDA, cuda_graphs=False)
    backend.logits(text_of(1, 2, 3))
    assert (backend.replayed, on_cuda.runs) == (frozenset(), ["none"])


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_on_cuda_a_forks_child_is_told_to_load_for_itself() -> None:
    backend = OrtBackend(tiny_graph(), provider=Provider.CUDA)
    backend.logits(text_of(1, 2, 3))

    def is_told() -> bool:
        with pytest.raises(GraphError, match=r"expected process \d+, .* load it in the child"):
            backend.logits(text_of(1, 2, 3))
        return True

    assert holds_in_a_child(is_told)


@pytest.mark.usefixtures("on_cuda")
def test_a_damaged_graph_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(GraphError, match="expected a graph ONNX Runtime can load, got"):
        OrtBackend(b"no graph", provider=Provider.CUDA)
    assert caplog.messages == []


def test_a_session_that_took_other_options_is_refused(
    on_cuda: type[OnCuda], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {str(Provider.CUDA): {"enable_cuda_graph": "0"}}
    monkeypatch.setattr(on_cuda, "get_provider_options", lambda _: other)
    with pytest.raises(GraphError, match=r"expected the provider option .*, got None"):
        OrtBackend(tiny_graph(), provider=Provider.CUDA)


def test_a_graph_in_onnx_runtimes_own_format_is_refused(tmp_path: Path) -> None:
    """What was checked is read as ONNX; it knows the other by a mark within."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "graph.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(tiny_graph(), options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "graph.ort").read_bytes()
    ort.InferenceSession(content, providers=["CPUExecutionProvider"])  # by itself it takes both
    with pytest.raises(GraphError):
        OrtBackend(content, provider=Provider.CPU)
