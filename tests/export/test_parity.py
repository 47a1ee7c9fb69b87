"""The batches parity is measured on, and what the comparison sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.checkpoint import TorchBackend, load_checkpoint
from export.fusion.fuse import check_fusion, fuse
from export.gate import Allowance, check_gate
from export.parity import Reference, parity_batches
from serve.bundle import Precision
from serve.encoding import EncodedBatch, Encoder
from serve.errors import GraphError, ParityError
from serve.examples import read_jsonl
from serve.tagger import Tagger
from tests.conftest import tiny_tokenizer
from tests.exported import exported


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
    encoder = Encoder(tiny_tokenizer(), max_tokens=200, pad_id=0)  # more than is always compared
    checkpoint = replace(load_checkpoint(tiny_checkpoint), encoder=encoder)
    shapes = [batch.input_ids.shape for batch in parity_batches(checkpoint, ["fix pump"])]
    assert (1, 200) in shapes


def test_a_backend_that_is_off_on_padded_batches_only_is_seen(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    reference = Reference(checkpoint, read_jsonl(tiny_checkpoint / "dev.jsonl"))
    honest = TorchBackend(checkpoint.model)

    class IgnoresPadding:
        def logits(self, batch: EncodedBatch) -> np.ndarray:
            ones = np.ones_like(batch.attention_mask)
            return honest.logits(EncodedBatch(batch.input_ids, ones))

    tagger = Tagger(checkpoint.encoder, checkpoint.tags, honest)
    equal = reference.compare(tagger, honest)
    assert equal.max_abs_diff == 0
    assert list(equal.diff_by_length)[-1] == checkpoint.encoder.max_tokens
    assert equal.f1.overall.interval_points == (0, 0)
    assert reference.compare(tagger, IgnoresPadding()).max_abs_diff > 0.01


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_dev_line_that_overflows_and_is_in_no_batch_closes_the_gate(
    tiny_checkpoint: Path,
) -> None:
    """Its words would have some tags all the same; of many lines, one costs F1 next to nothing."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    examples = read_jsonl(tiny_checkpoint / "dev.jsonl")
    reference = Reference(checkpoint, examples)
    honest = TorchBackend(checkpoint.model)
    (spoilt,) = checkpoint.encoder.encode([examples[0].text])[0].windows

    class OverflowsOnOne:
        def logits(self, batch: EncodedBatch) -> np.ndarray:
            logits = honest.logits(batch)
            for row, ids in zip(logits, batch.input_ids.tolist(), strict=True):
                if ids[: len(spoilt.input_ids)] == spoilt.input_ids:
                    row[:] = np.nan
            return logits

    tagger = Tagger(checkpoint.encoder, checkpoint.tags, OverflowsOnOne())
    report = reference.compare(tagger, honest)
    assert report.f1.overall.after == 0
    allowed = Allowance(points=100, label_points=100)
    with pytest.raises(ParityError, match="fp16 graph: expected finite logits, got NaN or infin"):
        check_gate(report, Precision.FP16, allowed)


def test_a_graph_that_overflows_in_batches_only_closes_the_gate(tiny_checkpoint: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    reference = Reference(checkpoint, read_jsonl(tiny_checkpoint / "dev.jsonl"))
    honest = TorchBackend(checkpoint.model)

    class OverflowsTogether:
        def logits(self, batch: EncodedBatch) -> np.ndarray:
            return honest.logits(batch) * (np.nan if len(batch.input_ids) > 1 else 1)

    report = reference.compare(checkpoint.tagger(honest), OverflowsTogether())
    with pytest.raises(ParityError, match="fp16 graph: expected finite logits, got NaN or infin"):
        check_gate(report, Precision.FP16, Allowance(points=100, label_points=100))


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
