"""The gate itself, and the batches parity is measured on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.checkpoint import TorchBackend, load_checkpoint
from export.optimize import check_fusion, fuse
from export.parity import ParityReport, Reference, parity_batches
from serve.bundle import Precision
from serve.encoding import EncodedBatch
from serve.errors import GraphError, ParityError
from serve.examples import read_jsonl
from serve.tagger import Tagger
from tests.exported import exported

GOOD = ParityReport(
    max_abs_diff=1e-5, num_tokens=100, tag_agreement=1.0, f1_before=0.9, f1_after=0.9
)


@pytest.mark.parametrize("precision", list(Precision))
def test_an_equal_graph_passes(precision: Precision) -> None:
    GOOD.check(precision, 0.0)


def test_a_loss_of_just_the_allowance_passes_and_more_does_not() -> None:
    replace(GOOD, f1_after=0.895).check(Precision.INT8, 0.5)
    with pytest.raises(ParityError, match=r"at most 0.5 points .* got 0.51 \(90.00 to 89.49\)"):
        replace(GOOD, f1_after=0.8949).check(Precision.INT8, 0.5)


def test_a_gain_passes() -> None:
    replace(GOOD, f1_after=0.95).check(Precision.FP16, 0.1)


@pytest.mark.parametrize("diff", [np.nan, np.inf])
def test_a_graph_that_is_not_finite_is_refused(diff: float) -> None:
    with pytest.raises(ParityError, match="fp16 graph: expected finite logits"):
        replace(GOOD, max_abs_diff=diff).check(Precision.FP16, 100.0)


def test_a_full_precision_graph_must_give_pytorchs_logits() -> None:
    drifted = replace(GOOD, max_abs_diff=0.002)
    drifted.check(Precision.FP16, 0.1)
    with pytest.raises(ParityError, match=r"within 0\.001 of PyTorch's, got 0\.002"):
        drifted.check(Precision.FP32, 0.1)


def test_parity_is_measured_alone_padded_and_at_the_longest(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    texts = [example.text for example in read_jsonl(tiny_checkpoint / "dev.jsonl")]
    batches = list(parity_batches(checkpoint, texts))
    shapes = {batch.input_ids.shape for batch in batches}
    assert len({tokens for rows, tokens in shapes if rows == 1}) >= 4
    assert max(tokens for _, tokens in shapes) == checkpoint.encoder.max_tokens
    assert {2, 8, 30} <= {rows for rows, _ in shapes}
    assert any((batch.attention_mask == 0).any() for batch in batches)


def test_the_longest_text_is_compared_however_few_the_lines_are(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    shapes = [batch.input_ids.shape for batch in parity_batches(checkpoint, ["fix pump"])]
    assert (1, checkpoint.encoder.max_tokens) in shapes


def test_a_backend_that_is_off_on_padded_batches_only_is_seen(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    reference = Reference(checkpoint, read_jsonl(tiny_checkpoint / "dev.jsonl"))
    honest = TorchBackend(checkpoint.model)

    class IgnoresPadding:
        def logits(self, batch: EncodedBatch) -> np.ndarray:
            ones = np.ones_like(batch.attention_mask)
            return honest.logits(EncodedBatch(batch.input_ids, ones))

    tagger = Tagger(checkpoint.encoder, checkpoint.tags, honest)
    assert reference.compare(tagger, honest).max_abs_diff == 0
    assert reference.compare(tagger, IgnoresPadding()).max_abs_diff > 0.01


def test_an_unfused_graph_fails_the_contract_and_a_fused_one_holds_it(
    tiny_checkpoint: Path,
) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    raw = exported(checkpoint)
    with pytest.raises(GraphError, match="Attention 0 of 2, SkipLayerNormalization 0 of 4"):
        check_fusion(raw, checkpoint.shape)
    fused = fuse(raw, checkpoint.shape)
    check_fusion(fused, checkpoint.shape)
    assert len(fused.graph.node) < 20
    with pytest.raises(GraphError, match="expected 3 layers to be fused whole"):
        check_fusion(fused, replace(checkpoint.shape, num_layers=3))
