"""Owns how near an engine is to PyTorch in FP32, and the check that stands on it.

Compared are random tokens, alone and in batches with padding. A tagger with random weights has no
F1 to lose, so its logits are what is checked; with a checkpoint, export's own gate on entity F1
comes on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.cuda.engine import Engine
from benchmarks.texts import random_batch
from export.config import FP32_ATOL
from serve.bundle import Precision
from serve.encoding import EncodedBatch
from serve.errors import ParityError

FP16_SHARE = 0.05
"""Largest difference in FP16, as a share of the logits' standard deviation. Rounding gave 0.005 in
MiniLM and 0.007 in BERT-base, random weights, PyTorch in FP16 on a CPU; GPUs round elsewhere."""
_LENGTHS = ((5,), (16, 9, 3, 12), (64, 17, 40, 2, 33, 64, 8, 21))


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an engine is from PyTorch in FP32.

    Attributes:
        max_abs_diff: Largest difference of a logit that is not padding.
        spread: Standard deviation of the reference's logits.
        tag_agreement: Share of tokens with the same best tag, in [0, 1].
        num_tokens: Tokens compared.
    """

    max_abs_diff: float
    spread: float
    tag_agreement: float
    num_tokens: int

    def allowed(self, precision: Precision) -> float:
        """Return the largest difference that passes."""
        return FP32_ATOL if precision is Precision.FP32 else FP16_SHARE * self.spread

    def check(self, precision: Precision) -> None:
        """Close on an engine whose answers are others.

        Raises:
            ParityError: If a logit is not finite or differs by more than is allowed.
        """
        if not self.max_abs_diff <= self.allowed(precision):  # NaN does not pass
            raise ParityError(
                f"expected logits within {self.allowed(precision):.2g} of PyTorch's in FP32, "
                f"got {self.max_abs_diff:.2g} and {self.tag_agreement:.1%} of the tags"
            )


class Yardstick:
    """The reference's answers on the batches all engines are compared on."""

    def __init__(self, engine: Engine, *, max_tokens: int, vocabulary_size: int) -> None:
        """Run the reference.

        Args:
            engine: PyTorch in FP32.
            max_tokens: Longest sequence to compare.
            vocabulary_size: Token ids are below.
        """
        lengths = (*_LENGTHS, (max_tokens, max_tokens // 3))
        batches = [
            random_batch(
                [min(n, max_tokens) for n in row], min(max(row), max_tokens), vocabulary_size, seed
            )
            for seed, row in enumerate(lengths)
        ]
        self._pairs = [(batch, engine.logits(batch)) for batch in batches]

    def compare(self, engine: Engine) -> Parity:
        """Compare an engine with the reference, when it has recorded what it will replay."""
        for batch, _ in self._pairs:
            engine.logits(batch)
        got = _tokens([(batch, engine.logits(batch)) for batch, _ in self._pairs])
        expected = _tokens(self._pairs)
        return Parity(
            max_abs_diff=float(np.abs(got - expected).max()),
            spread=float(expected.std()),
            tag_agreement=float((got.argmax(axis=1) == expected.argmax(axis=1)).mean()),
            num_tokens=len(expected),
        )


def _tokens(pairs: Sequence[tuple[EncodedBatch, NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Return the logits of all tokens that are not padding. Shape: (N, L)."""
    return np.concatenate([logits[batch.attention_mask == 1] for batch, logits in pairs])
