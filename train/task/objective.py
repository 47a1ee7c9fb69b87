"""Owns what training minimizes: a loss of tag logits, and how such logits are to be read.

A loss is summed over the tokens that train, not averaged: a step divides by their number in the
whole batch, so that it is the same step however many parts and processes share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from serve.decode.decoding import Decoding
from serve.labels import Tags
from train.config import Decoder, TrainConfig
from train.model.crf import Crf
from train.task.collate import IGNORE_INDEX, LabelledWindow, TrainingBatch


class Objective(nn.Module):
    """A loss; what it learns itself, if anything, are its parameters."""

    def forward(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Return the loss summed over the batch's trained tokens. Shape: (B, T, L) to ()."""
        raise NotImplementedError

    def decoding(self) -> Decoding:
        """Return how logits trained so far are to be read."""
        raise NotImplementedError


class Learner(nn.Module):
    """A model and what it is trained for, in one module, so that processes can share it.

    Attributes:
        model: A token classifier, or a wrapper around one.
        objective: Takes its logits and the batch, returns the loss summed over what trains.
    """

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        """Join the two."""
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: TrainingBatch) -> Tensor:
        """Return the loss summed over the batch's trained tokens."""
        output = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        loss: Tensor = self.objective(output.logits, batch)
        return loss


class CrossEntropy(Objective):
    """The tag of each token by itself."""

    _weights: Tensor | None

    def __init__(
        self, decoding: Decoding, *, label_smoothing: float = 0.0, weights: Tensor | None = None
    ) -> None:
        """Take how logits are read, the smoothing, and a weight for each gold tag. Shape: (L,)."""
        super().__init__()
        self._decoding = decoding
        self._label_smoothing = label_smoothing
        self.register_buffer("_weights", weights, persistent=False)

    def forward(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Return the loss summed over the batch's trained tokens. Shape: (B, T, L) to ()."""
        targets = batch.targets.flatten()
        loss = partial(
            cross_entropy,
            logits.float().flatten(0, 1),
            targets,
            ignore_index=IGNORE_INDEX,
            label_smoothing=self._label_smoothing,
        )
        if self._weights is None:
            return loss(reduction="sum")
        # Not cross_entropy's own weights, which weigh each tag's share of the smoothing, too: the
        # rarest would be most of every target.
        return (loss(reduction="none") * self._weights[targets.clamp(min=0)]).sum()

    def decoding(self) -> Decoding:
        """Return how logits are to be read."""
        return self._decoding


class ChainLoss(Objective):
    """The tags of a sequence together: a linear-chain CRF."""

    def __init__(self, tags: Tags) -> None:
        """Begin with transitions of 0."""
        super().__init__()
        self._crf = Crf(tags)

    def keep(self, base: Decoding, rows: Mapping[int, int]) -> None:
        """Begin with the transitions of a base, if that is a CRF; see `Base.chain`."""
        if base.is_crf and rows:
            self._crf.keep(base, rows)

    def forward(self, logits: Tensor, batch: TrainingBatch) -> Tensor:
        """Return the sequences' negative log-likelihood, summed. Shape: (B, T, L) to ()."""
        negative: Tensor = -self._crf(logits.float(), batch.targets)
        return negative

    def decoding(self) -> Decoding:
        """Return the chain as it is trained so far."""
        return self._crf.decoding()


def make_objective(config: TrainConfig, tags: Tags, windows: Sequence[LabelledWindow]) -> Objective:
    """Return the objective the settings ask for."""
    if config.decoder is Decoder.CRF:
        return ChainLoss(tags)
    weights = (
        tag_weights(windows, len(tags), config.class_weights) if config.class_weights else None
    )
    decoding = Decoding(constrained=config.decoder is Decoder.CONSTRAINED)
    return CrossEntropy(decoding, label_smoothing=config.label_smoothing, weights=weights)


def tag_weights(windows: Sequence[LabelledWindow], num_tags: int, power: float) -> Tensor:
    """Return a weight for each tag: its rarity to a power, 1 in the mean of the trained tokens.

    A tag that nothing is trained on is weighed as if it were there once. Shape: (L,)
    """
    trained = torch.tensor([t for w in windows for t in w.tag_ids if t != IGNORE_INDEX])
    counts = trained.bincount(minlength=num_tags).double()
    weights = counts.clamp(min=1) ** -power
    return (weights * counts.sum() / (weights * counts).sum()).float()
