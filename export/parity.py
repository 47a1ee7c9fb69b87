"""Owns the comparison of a graph with PyTorch, and the gate that stands on it.

Parity is measured on real lines in the shapes that serving meets: alone, in mixed batches with
padding, and joined to long texts up to the model's limit. The gate is on what users lose: entity F1
over all dev lines, tagged by `serve`'s own tagger with either model.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from export.checkpoint import Checkpoint, TorchBackend
from export.config import FP32_ATOL
from serve.backend import Backend
from serve.bundle import Precision
from serve.encoding import MAX_CHARS, EncodedBatch
from serve.entities import decode_entities
from serve.errors import DataError, ParityError
from serve.examples import Example, Span
from serve.scoring import score_entities
from serve.tagger import Tagger

NUM_LINES_ALONE = 48
BATCH_SIZES = (2, 8, 32)
LONG_TEXT_TOKENS = (64, 128)


@dataclass(frozen=True, slots=True)
class ParityReport:
    """How far a graph's answers are from PyTorch's.

    Attributes:
        max_abs_diff: Largest difference of a logit that is not padding.
        num_tokens: Tokens compared.
        tag_agreement: Share of the dev lines' words with the same tag, in [0, 1].
        f1_before: PyTorch's micro entity F1 on the dev lines, in [0, 1].
        f1_after: The graph's.
    """

    max_abs_diff: float
    num_tokens: int
    tag_agreement: float
    f1_before: float
    f1_after: float

    @property
    def f1_loss_points(self) -> float:
        """Entity F1 lost, in points; negative when the graph is better."""
        return 100 * (self.f1_before - self.f1_after)

    def check(
        self, precision: Precision, allowed_loss_points: float, *, atol: float = FP32_ATOL
    ) -> None:
        """Close the gate on a graph that costs entity F1.

        Args:
            precision: The graph's.
            allowed_loss_points: Largest loss of entity F1, in points.
            atol: Largest difference of a logit from PyTorch's; asked of a FP32 graph only.

        Raises:
            ParityError: If the graph lost more than allowed, is not finite, or is FP32 and its
                logits differ by more than `atol`.
        """
        if not np.isfinite(self.max_abs_diff):
            raise ParityError(f"{precision} graph: expected finite logits, got NaN or infinity")
        # 1e-9: a loss that equals the allowance passes whatever way its digits were rounded
        if self.f1_loss_points > allowed_loss_points + 1e-9:
            raise ParityError(
                f"{precision} graph: expected to lose at most {allowed_loss_points:g} points of "
                f"entity F1, got {self.f1_loss_points:.2f} ({100 * self.f1_before:.2f} to "
                f"{100 * self.f1_after:.2f}); leave --{precision} out, or allow it with "
                f"--allow-f1-loss {np.ceil(self.f1_loss_points * 10) / 10:g}"
            )
        if precision == Precision.FP32 and self.max_abs_diff > atol:
            raise ParityError(
                f"fp32 graph: expected logits within {atol:g} of PyTorch's, "
                f"got {self.max_abs_diff:.2g}; use the pinned versions of torch and transformers, "
                "or allow it with --atol"
            )


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
        self._examples = examples
        self._texts = [example.text for example in examples]
        backend = TorchBackend(checkpoint.model)
        self._offsets = [text.offsets for text in checkpoint.encoder.encode(self._texts)]
        tagger = Tagger(checkpoint.encoder, checkpoint.tags, backend)
        self._word_tags = tagger.word_tags(self._texts)
        self.f1 = self._f1(self._word_tags)
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
        diffs = [
            np.abs(backend.logits(batch) - expected)[batch.attention_mask == 1].max()
            for batch, expected in self._batches
        ]
        word_tags = tagger.word_tags(self._texts)
        pairs = [
            (tag, expected)
            for line in zip(word_tags, self._word_tags, strict=True)
            for tag, expected in zip(*line, strict=True)
        ]
        return ParityReport(
            max_abs_diff=float(np.max(diffs)),  # NaN stays NaN
            num_tokens=int(sum(batch.attention_mask.sum() for batch, _ in self._batches)),
            tag_agreement=sum(tag == expected for tag, expected in pairs) / len(pairs),
            f1_before=self.f1,
            f1_after=self._f1(word_tags),
        )

    def _f1(self, word_tags: Sequence[Sequence[str]]) -> float:
        """Return the micro entity F1 of the dev lines' tags, without running the model again."""
        answers = [
            decode_entities(tags, [1.0] * len(tags), offsets)
            for tags, offsets in zip(word_tags, self._offsets, strict=True)
        ]
        predicted = [[Span(e.start, e.end, e.label) for e in entities] for entities in answers]
        return score_entities([e.spans for e in self._examples], predicted).micro.f1

    def compare_torch_fp16(self) -> ParityReport:
        """Compare PyTorch in FP16 with PyTorch in FP32."""
        backend = TorchBackend(copy.deepcopy(self._checkpoint.model).half())  # type: ignore[no-untyped-call]
        tagger = Tagger(self._checkpoint.encoder, self._checkpoint.tags, backend)
        return self.compare(tagger, backend)


def parity_batches(checkpoint: Checkpoint, texts: Sequence[str]) -> Iterator[EncodedBatch]:
    """Yield batches of real lines: alone and unpadded, mixed with padding, joined to long texts."""
    encoder = checkpoint.encoder
    windows = [w for text in encoder.encode(texts) for w in text.windows]
    by_length = sorted(windows, key=lambda window: len(window.input_ids))
    for window in by_length[:: max(1, len(by_length) // NUM_LINES_ALONE)]:
        yield encoder.collate([window])
    for size in BATCH_SIZES:
        yield encoder.collate(windows[:size])
    line = " ".join(texts) + " "
    long_text = (line * (MAX_CHARS // len(line) + 1))[:MAX_CHARS]  # however few the lines are
    input_ids = encoder.encode([long_text])[0].windows[0].input_ids
    for num_tokens in (*LONG_TEXT_TOKENS, encoder.max_tokens):
        ids = np.array([input_ids[:num_tokens]], dtype=np.int64)
        yield EncodedBatch(ids, np.ones_like(ids))
