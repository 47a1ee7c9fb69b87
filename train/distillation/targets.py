"""Owns what a student is trained on: a probability for each tag of each word, and the loss.

Of a labelled word, the target is gold's tag and the teachers' mean, weighed against each other; of
an unlabelled one, the teachers' mean alone. The loss is the cross-entropy with that target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from serve.encoding import EncodedText, Encoder
from serve.examples import Example
from serve.labels import Tags
from train.distillation.teachers import Probabilities
from train.task.collate import TrainingBatch, Windowed, align_tags


@dataclass(frozen=True, slots=True, eq=False)
class TaughtWindow(Windowed):
    """A window and the target of each word that is read from it.

    Attributes:
        targets: Rows sum to 1. Shape: (words read from it, L)
    """

    targets: Probabilities


def mix_gold(
    example: Example,
    encoded: EncodedText,
    taught: Probabilities,
    tags: Tags,
    gold_share: float,
) -> Probabilities:
    """Return the targets of a labelled text's words. Shape: (W, L)."""
    gold = np.zeros_like(taught)
    ids = [tags.id_of(name) for name in align_tags(example, encoded.offsets)]
    gold[np.arange(len(ids)), ids] = 1.0
    return gold_share * gold + np.float32(1.0 - gold_share) * taught


def taught_windows(
    encoded: Sequence[EncodedText], targets: Iterable[Probabilities]
) -> list[TaughtWindow]:
    """Put the targets of each text's words beside its windows; leave out those without a word."""
    return [
        TaughtWindow(window, rows[window.first_word :][: len(window.first_tokens)])
        for text, rows in zip(encoded, targets, strict=True)
        for window in text.windows
        if window.first_tokens
    ]


def collate_taught(windows: Sequence[TaughtWindow], encoder: Encoder) -> TrainingBatch:
    """Pad windows and their targets to the longest's length."""
    arrays = encoder.collate([taught.window for taught in windows])
    num_tags = windows[0].targets.shape[1]
    targets = np.zeros((*arrays.input_ids.shape, num_tags), dtype=np.float32)
    for row, taught in enumerate(windows):
        targets[row, taught.window.first_tokens] = taught.targets
    return TrainingBatch(
        torch.from_numpy(arrays.input_ids),
        torch.from_numpy(arrays.attention_mask),
        torch.from_numpy(targets),
        sum(len(taught.window.first_tokens) for taught in windows),
    )


def soft_loss(logits: Tensor, batch: TrainingBatch) -> Tensor:
    """Return the cross-entropy with the targets, summed over trained tokens, in nats. To ()."""
    return -(batch.targets * logits.float().log_softmax(dim=-1)).sum()
