"""Engines on the CPU: what they say of themselves, and every check that must close."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.cuda.engine import NotMeasuredError
from benchmarks.cuda.ort_engine import OrtEngine
from benchmarks.cuda.parity import Parity, Yardstick
from benchmarks.cuda.placement import check_placement, nodes_by_provider
from benchmarks.cuda.served_engine import ServedEngine
from benchmarks.cuda.tasks import offline_task
from benchmarks.cuda.torch_engine import TorchEngine
from benchmarks.cuda.variants import NEEDS_CUDA, Source, Variant, open_engine, reference
from benchmarks.families import BERT_BASE, BERT_LARGE, MINILM, TINY, write_random_checkpoint
from benchmarks.texts import random_batch
from export.checkpoint import load_checkpoint
from export.fusion.packed import check_packed, packed
from serve.bundle import Precision, Provider
from serve.encoding import EncodedBatch
from serve.errors import GraphError, ParityError

CPU, CUDA = Provider.CPU, Provider.CUDA


@pytest.mark.parametrize("variant", [v for v in Variant if v not in NEEDS_CUDA])
def test_a_variant_says_what_it_runs_and_answers_like_pytorch(
    source: Source, yardstick: Yardstick, variant: Variant
) -> None:
    engine = open_engine(variant, source, CPU)
    assert engine.facts.precision == variant.precision
    assert engine.facts.provider == ("torch cpu" if variant is Variant.TORCH else CPU)
    parity = yardstick.compare(engine)
    parity.check(variant.precision)
    assert parity.tag_agreement > 0.98
    assert parity.num_tokens == 5 + 40 + 249 + 64 + 21


@pytest.mark.parametrize("variant", sorted(NEEDS_CUDA))
def test_a_variant_that_needs_a_gpu_says_so(source: Source, variant: Variant) -> None:
    with pytest.raises(NotMeasuredError, match="needs a CUDA GPU"):
        open_engine(variant, source, CPU)


@pytest.mark.skipif(str(CUDA) in ort.get_available_providers(), reason="this build has CUDA")
@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_a_session_that_fell_to_the_cpu_is_refused(source: Source, cuda_graphs: bool) -> None:
    graph = source.fp32.SerializeToString()
    with pytest.raises(
        GraphError, match=r"expected every node on CUDAExecutionProvider, got 19 on CPU"
    ):
        OrtEngine(graph, provider=CUDA, cuda_graphs=cuda_graphs)


def test_a_graph_that_cannot_be_loaded_is_one_line() -> None:
    with pytest.raises(GraphError, match=r"expected a graph that CPUExecutionProvider runs, got"):
        OrtEngine(b"no graph", provider=CPU)


def test_a_bound_engine_keeps_apart_what_it_was_given(source: Source) -> None:
    engine = OrtEngine(source.fp32.SerializeToString(), provider=CPU)
    served = ServedEngine(source.fp32.SerializeToString(), provider=CPU)
    batches = [random_batch([4, 2], 4, 100, seed) for seed in range(3)]
    batches.append(random_batch([7], 7, 100, 9))
    copies = [batch.input_ids.copy() for batch in batches]
    first = engine.logits(batches[0])
    kept = first.copy()
    for batch in [*batches, *batches]:
        np.testing.assert_allclose(engine.logits(batch), served.logits(batch), atol=1e-5)
    np.testing.assert_array_equal(first, kept)
    for batch, copy in zip(batches, copies, strict=True):
        np.testing.assert_array_equal(batch.input_ids, copy)


@pytest.mark.parametrize("kind", [OrtEngine, ServedEngine])
def test_a_run_without_a_batch_is_misuse(
    source: Source, kind: type[OrtEngine] | type[ServedEngine]
) -> None:
    engine = kind(source.fp32.SerializeToString(), provider=CPU)
    with pytest.raises(ValueError, match="expected a batch to be loaded before a run"):
        engine.run()


def test_a_batch_the_graph_cannot_take_names_its_shape(source: Source) -> None:
    engine = OrtEngine(source.fp32.SerializeToString(), provider=CPU)
    with pytest.raises(GraphError, match=r"input_ids of shape \[1, 600\] to run, got"):
        engine.logits(random_batch([600], 600, 100, 1))


def event(index: str, provider: str, name: str = "Add_kernel_time") -> dict[str, object]:
    return {"cat": "Node", "name": name, "args": {"node_index": index, "provider": provider}}


def test_nodes_are_counted_once_by_the_provider_that_ran_them(profile: Path) -> None:
    rows = [event("0", CUDA), event("0", CUDA), event("1", CUDA), event("2", CPU)]
    profile.write_text(json.dumps([{"cat": "Session", "name": "run"}, *rows]))
    assert nodes_by_provider(profile) == {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 2}


def test_a_profile_without_nodes_proves_nothing(profile: Path) -> None:
    profile.write_text("[]")
    with pytest.raises(GraphError, match="expected a profile with nodes, got none"):
        nodes_by_provider(profile)


def test_one_node_on_the_cpu_closes_the_check() -> None:
    check_placement(CUDA, {"CUDAExecutionProvider": 92})
    with pytest.raises(GraphError, match=r"expected every node on CUDA.*, got 1 on CPU.*, 91 on"):
        check_placement(CUDA, {"CPUExecutionProvider": 1, "CUDAExecutionProvider": 91})


def test_packing_replaces_every_attention_of_a_fp16_graph(source: Source) -> None:
    shape = source.checkpoint.shape
    check_packed(packed(source.fp16, shape), shape)
    with pytest.raises(GraphError, match="'PackedAttention': 0"):
        check_packed(source.fp16, shape)


def test_a_spoilt_weight_fails_parity(spoilt: bytes, yardstick: Yardstick) -> None:
    parity = yardstick.compare(OrtEngine(spoilt, provider=CPU))
    with pytest.raises(ParityError, match=r"expected logits within .* of PyTorch's in FP32, got"):
        parity.check(Precision.FP16)


@pytest.mark.parametrize("diff", [0.006, float("nan"), float("inf")])
def test_logits_too_far_off_or_not_finite_fail(diff: float) -> None:
    Parity(0.004, 0.1, 1.0, 10).check(Precision.FP16)
    with pytest.raises(ParityError):
        Parity(diff, 0.1, 1.0, 10).check(Precision.FP16)
    with pytest.raises(ParityError, match=r"within 0\.001 of"):
        Parity(0.004, 0.1, 1.0, 10).check(Precision.FP32)


def test_pytorch_in_fp16_leaves_the_model_as_it_was(source: Source) -> None:
    TorchEngine(source.checkpoint.model, provider=CPU, dtype=torch.float16)
    assert source.checkpoint.model.dtype == torch.float32
    assert source.checkpoint.model.config._attn_implementation == "eager"


def test_a_random_checkpoint_is_the_same_one_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_random_checkpoint(TINY, tmp_path / name, ["pump", "leak"])
    first, second = (load_checkpoint(tmp_path / name) for name in ("a", "b"))
    assert first.snapshot.weights_sha256 == second.snapshot.weights_sha256
    (text,) = first.encoder.encode(["pump leak"])
    assert len(text.windows[0].input_ids) == 4


def test_the_families_have_their_published_shapes() -> None:
    shapes = [(f.num_layers, f.num_heads, f.hidden_size) for f in (MINILM, BERT_BASE, BERT_LARGE)]
    assert shapes == [(6, 12, 384), (12, 12, 768), (24, 16, 1024)]


class Batches:
    """Engine that notes the size of each batch."""

    def __init__(self, engine: TorchEngine) -> None:
        self._engine = engine
        self.facts, self.load, self.run = engine.facts, engine.load, engine.run
        self.sizes: list[int] = []

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.sizes.append(len(batch.input_ids))
        return self._engine.logits(batch)


@pytest.mark.parametrize(("variant", "sizes"), [(Variant.FP16, [1, 2]), (Variant.PACKED, [3])])
def test_texts_of_any_lengths_run_together_where_padding_is_not_computed(
    source: Source, variant: Variant, sizes: list[int]
) -> None:
    engine = Batches(reference(source, CPU))
    task = offline_task("lines", ["replace the leaking oil pump", "pump", "hose"])
    assert variant in task.variants
    (step,) = task.steps(variant, engine, source)
    step.run()
    assert sorted(engine.sizes) == sizes
