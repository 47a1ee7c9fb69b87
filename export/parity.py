"""Owns the comparison of a graph with PyTorch; `export.gate` judges it.

Logits are compared on real lines in the shapes that serving meets: alone, in mixed batches with
padding, and joined to long texts up to the model's limit. Entities are compared on all dev lines,
tagged by `serve`'s own tagger with either model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from export.checkpoint import Checkpoint, TorchBackend
from export.torch_fp16 import in_fp16
from serve.backend import Backend
from serve.bootstrap import F1Change, F1Changes, f1_changes
from serve.encoding import EncodedBatch
from serve.entities import decode_entities
from serve.errors import DataError, NonFiniteError
from serve.examples import Example, Span
from serve.labels import OUTSIDE
from serve.limits import MAX_CHARS
from serve.scoring import score_entities
from serve.tagger import Tagger

NUM_LINES_ALONE = 48
BATCH_SIZES = (2, 8, 32)
LONG_TEXT_TOKENS = (64, 128)


@dataclass(frozen=True, slots=True)
class ParityReport:
    """How far a graph's answers are from PyTorch's.

    Attributes:
        max_abs_diff: Largest difference of a logit that is not padding; NaN where a dev line has
            logits that are not finite, and the graph counts as one that finds no entity.
        diff_by_length: The same for sequences of up to so many tokens, padding included.
        num_tokens: Tokens compared.
        tag_agreement: Share of the dev lines' words with the same tag, in [0, 1].
        f1: Entity F1 on the dev lines, PyTorch's and the graph's.
    """

    max_abs_diff: float
    diff_by_length: dict[int, float]
    num_tokens: int
    tag_agreement: float
    f1: F1Changes


class Reference:
    """PyTorch's answers on the dev lines, computed once for all graphs.

    Attributes:
        f1: Micro entity F1 on the dev lines, in [0, 1].
    """

    def __init__(self, checkpoint: Checkpoint, examples: Sequence[Example]) -> None:
        """Tag the dev lines with PyTorch.

        Raises:
            DataError: If PyTorch finds no right entity in them: the gate could not close.
        """
        self._checkpoint = checkpoint
        self._texts = [example.text for example in examples]
        backend = TorchBackend(checkpoint.model)
        self._offsets = [text.offsets for text in checkpoint.encoder.encode(self._texts)]
        tagger = checkpoint.tagger(backend)
        self._word_tags = tagger.word_tags(self._texts)
        self._gold = [example.spans for example in examples]
        self._predicted = self._spans(self._word_tags)
        self.f1 = score_entities(self._gold, self._predicted).micro.f1
        if not self.f1:
            raise DataError(
                f"expected dev lines with entities that the checkpoint finds, got F1 0 on "
                f"{len(examples)} lines; train longer or name labelled lines with --data"
            )
        self._batches = [(b, backend.logits(b)) for b in parity_batches(checkpoint, self._texts)]

    def compare(self, tagger: Tagger, backend: Backend) -> ParityReport:
        """Compare a graph with PyTorch.

        Args:
            tagger: Runs the graph the way the runtime will.
            backend: Runs the graph on batches as they are given.
        """
        diffs: dict[int, float] = {}
        for batch, expected in self._batches:
            diff = np.abs(backend.logits(batch) - expected)[batch.attention_mask == 1].max()
            length = 1 << (batch.input_ids.shape[1] - 1).bit_length()  # the next power of two
            diffs[length] = float(np.maximum(diffs.get(length, 0.0), diff))  # NaN stays NaN
        diff = float(np.max(list(diffs.values())))
        try:
            word_tags = tagger.word_tags(self._texts)
        except NonFiniteError:  # on a line that is in none of the batches: it has no answer there
            diff, word_tags = np.nan, [[OUTSIDE] * len(tags) for tags in self._word_tags]
        pairs = [
            (tag, expected)
            for line in zip(word_tags, self._word_tags, strict=True)
            for tag, expected in zip(*line, strict=True)
        ]
        return ParityReport(
            max_abs_diff=diff,
            diff_by_length=dict(sorted(diffs.items())),
            num_tokens=int(sum(batch.attention_mask.sum() for batch, _ in self._batches)),
            tag_agreement=sum(tag == expected for tag, expected in pairs) / len(pairs),
            f1=f1_changes(self._gold, self._predicted, self._spans(word_tags), self._texts),
        )

    def _spans(self, word_tags: Sequence[Sequence[str]]) -> list[list[Span]]:
        """Return the entities of the dev lines' tags, without running the model again."""
        answers = [
            decode_entities(tags, [1.0] * len(tags), offsets)
            for tags, offsets in zip(word_tags, self._offsets, strict=True)
        ]
        return [[Span(e.start, e.end, e.label) for e in entities] for entities in answers]

    def compare_torch_fp16(self) -> ParityReport:
        """Compare PyTorch in FP16 with PyTorch in FP32."""
        backend = TorchBackend(in_fp16(self._checkpoint.model))
        return self.compare(self._checkpoint.tagger(backend), backend)


def worst_of(reports: Sequence[ParityReport]) -> ParityReport:
    """Return the worst figure of each kind among comparisons of one graph, one at least."""
    lengths = sorted({length for report in reports for length in report.diff_by_length})
    labels = sorted({label for report in reports for label in report.f1.by_label})
    return ParityReport(
        max_abs_diff=_largest(report.max_abs_diff for report in reports),
        diff_by_length={
            length: _largest(r.diff_by_length.get(length, 0.0) for r in reports)
            for length in lengths
        },
        num_tokens=reports[0].num_tokens,
        tag_agreement=min(report.tag_agreement for report in reports),
        f1=F1Changes(
            _most_lost(report.f1.overall for report in reports),
            {
                label: _most_lost(r.f1.by_label[label] for r in reports if label in r.f1.by_label)
                for label in labels
            },
        ),
    )


def _largest(diffs: Iterable[float]) -> float:
    return float(np.max(list(diffs)))  # NaN stays NaN


def _most_lost(changes: Iterable[F1Change]) -> F1Change:
    return max(changes, key=lambda change: change.loss_points)


def long_text(texts: Sequence[str]) -> str:
    """Return a text as long as any may be, of lines again and again, however few they are."""
    line = " ".join(texts) + " "
    return (line * (MAX_CHARS // len(line) + 1))[:MAX_CHARS]


def parity_batches(checkpoint: Checkpoint, texts: Sequence[str]) -> Iterator[EncodedBatch]:
    """Yield batches of real lines: alone and unpadded, mixed with padding, joined to long texts."""
    encoder = checkpoint.encoder
    windows = [w for text in encoder.encode(texts) for w in text.windows]
    by_length = sorted(windows, key=lambda window: len(window.input_ids))
    for window in by_length[:: max(1, len(by_length) // NUM_LINES_ALONE)]:
        yield encoder.collate([window])
    for size in BATCH_SIZES:
        yield encoder.collate(windows[:size])
    input_ids = encoder.encode([long_text(texts)])[0].windows[0].input_ids
    for num_tokens in (*LONG_TEXT_TOKENS, encoder.max_tokens):
        ids = np.array([input_ids[:num_tokens]], dtype=np.int64)
        yield EncodedBatch(ids, np.ones_like(ids))
