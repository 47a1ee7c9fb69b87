"""Owns the module that a loop trains: a model and its objective, from a batch to a loss."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from torch import Tensor, nn

AnyObjective = TypeVar("AnyObjective", bound=nn.Module)


class Sequences(Protocol):
    """A batch of padded sequences."""

    @property
    def input_ids(self) -> Tensor:
        """Shape: (B, T), int64."""
        ...

    @property
    def attention_mask(self) -> Tensor:
        """1 for tokens, 0 for padding. Shape: (B, T), int64."""
        ...


class Learner(nn.Module, Generic[AnyObjective]):
    """A model and what it is trained for, in one module, so that processes can share it.

    Attributes:
        model: A Hugging Face model, or a wrapper around one.
        objective: Takes its logits and the batch, returns the loss summed over what trains.
    """

    def __init__(self, model: nn.Module, objective: AnyObjective) -> None:
        """Join the two."""
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Sequences) -> Tensor:
        """Return the loss summed over the batch's trained tokens."""
        output = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        loss: Tensor = self.objective(output.logits, batch)
        return loss
