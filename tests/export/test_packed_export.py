"""A packed graph on its way into a bundle and out again, on a machine without the GPU it needs.

The gate's runs of it are numpy's here, see `tests.packed`; all else is the product's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import export.judge
import serve.running.graphs
from export.__main__ import main
from export.verification.verify import verify
from serve.backend import Backend
from serve.bundle import Bundle, GraphInfo, Precision, Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError
from serve.session import OrtBackend
from serve.tagger import Tagger
from serve.versions.content import check_version
from tests.packed import NumpyBackend, PackedAttention


def stand_in(content: bytes, *, provider: Provider, **settings: Any) -> Backend:
    model = onnx.load_from_string(content)
    if any(node.op_type == "PackedAttention" for node in model.graph.node):
        assert provider is Provider.CUDA
        assert not settings["cuda_graphs"]
        return NumpyBackend(model)
    return OrtBackend(content, **settings)


def on_gpu(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(export.judge, "default_provider", lambda: Provider.CUDA)
    patch.setattr(export.judge, "OrtBackend", stand_in)


def command(checkpoint: Path, output: Path) -> list[str]:
    return ["--model", str(checkpoint), "--output", str(output), "--fp16", "--packed"]


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    output = tmp_path_factory.mktemp("packed") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        on_gpu(patch)
        assert main(command(tiny_checkpoint, output)) == 0
    return Bundle.load(output)


def test_it_is_gated_on_the_gpu_and_stands_beside_the_padded_one(bundle: Bundle) -> None:
    padded, packed = bundle.graph(Precision.FP16), bundle.graph(Precision.PACKED)

    assert packed.file == "model_packed.onnx"
    assert packed.provider is Provider.CUDA
    assert packed.measured_on == str(Provider.CUDA)
    assert packed.f1_after == pytest.approx(padded.f1_after)
    assert packed.operators["PackedAttention"] == padded.operators["Attention"] > 0
    assert packed.operators["RemovePadding"] == packed.operators["RestorePadding"] == 1
    assert "Attention" not in packed.operators


def test_a_packed_graph_that_costs_f1_is_not_published(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_gpu(monkeypatch)
    attend = PackedAttention._run

    def across_texts(self: PackedAttention, x: Any, *inputs: Any, **settings: Any) -> Any:
        return attend(self, x[::-1].copy(), *inputs, **settings)

    monkeypatch.setattr(PackedAttention, "_run", across_texts)

    assert main(command(tiny_checkpoint, tmp_path / "bundle")) == 1

    assert "packed graph: expected to lose at most 0.1 points" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_without_a_gpu_it_is_refused_before_any_work(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tiny_checkpoint, tmp_path / "bundle")) == 1

    error = capsys.readouterr().err
    assert error.startswith("error: --packed: expected CUDAExecutionProvider")
    assert "leave it out" in error


def test_it_needs_the_padded_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--packed"])
    assert "--packed needs --fp16" in capsys.readouterr().err


def test_machines_without_a_gpu_check_it_and_publish_it(bundle: Bundle) -> None:
    assert verify(bundle.folder).findings == ()
    check_version(bundle.folder)


def test_machines_without_a_gpu_do_not_run_it(bundle: Bundle) -> None:
    assert Tagger.load(bundle.folder).graph == bundle.graph(Precision.FP32)
    with pytest.raises(GraphError, match=r"model_packed.onnx: expected CUDAExecutionProvider"):
        Tagger.load(bundle.folder, precision="packed")


class Recorder:
    def __init__(self, graph: GraphInfo, num_tags: int, asked: list[Precision]) -> None:
        self.provider = Provider.CUDA
        self._precision, self._num_tags, self._asked = graph.precision, num_tags, asked

    def logits(self, batch: EncodedBatch) -> Any:
        self._asked.append(self._precision)
        return np.zeros((*batch.input_ids.shape, self._num_tags), np.float32)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Precision]:
    """Return the precisions that run on a GPU, in order, as they are asked."""
    asked: list[Precision] = []

    def load_backend(bundle: Bundle, graph: GraphInfo, *_: object) -> Recorder:
        return Recorder(graph, len(bundle.tags), asked)

    monkeypatch.setattr(serve.running.graphs, "load_backend", load_backend)
    return asked


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["replace pump"], Precision.FP16),
        (["replace pump", "replace pump"], Precision.FP16),
        (["replace pump", "replace leaking hose on left hand pump"], Precision.PACKED),
    ],
)
def test_on_a_gpu_batches_with_padding_take_it(
    bundle: Bundle, asked: list[Precision], texts: list[str], expected: Precision
) -> None:
    tagger = Tagger.load(bundle.folder, provider=Provider.CUDA)

    tagger.tag(texts)

    assert tagger.graph == bundle.graph(Precision.FP16)
    assert asked == [expected]


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.PACKED])
def test_a_precision_that_is_asked_for_runs_alone(
    bundle: Bundle, asked: list[Precision], precision: Precision
) -> None:
    tagger = Tagger.load(bundle.folder, precision=precision, provider=Provider.CUDA)

    tagger.tag(["replace pump", "replace leaking hose on left hand pump"])
    tagger.tag(["replace pump"])

    assert set(asked) == {precision}
