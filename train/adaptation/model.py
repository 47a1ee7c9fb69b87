"""Owns the model that guesses words: an encoder with its head, or a new one where it has none.

The head is each family's own: a layer of the encoder's width, and a product with the word
embeddings themselves (tied). A base model made for something else, as sentence embeddings, has
lost that layer; a new one begins at random and is trained alone for the first epoch, so that what
it does not know yet does no harm to the encoder.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from train.adaptation.masking import MaskedBatch


class Guesser(nn.Module):
    """A masked language model that computes the logits of masked tokens only.

    Those of all tokens would cost as much as the encoder.

    Attributes:
        model: A Hugging Face model for masked language modelling.
    """

    def __init__(self, model: PreTrainedModel, *, first_position: int) -> None:
        """Take a model of a supported family and the position id of a text's first token."""
        super().__init__()
        self.model = model
        self._first_position = first_position

    def forward(self, batch: MaskedBatch) -> Tensor:
        """Return the loss of the tokens to be guessed, summed, in nats."""
        hidden: Tensor = self.model.base_model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=batch.position_ids + self._first_position,
        ).last_hidden_state
        logits = head_logits(self.model, hidden.flatten(0, 1)[batch.targets])
        return cross_entropy(logits.float(), batch.target_ids, reduction="sum")


def head_logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Return the logits of hidden states. Shape: (M, H) to (M, V)."""
    parts: Any = model
    match model.config.model_type:
        case "bert":
            logits = parts.cls(hidden)
        case "distilbert":
            inner = parts.vocab_layer_norm(parts.activation(parts.vocab_transform(hidden)))
            logits = parts.vocab_projector(inner)
        case "electra":
            logits = parts.generator_lm_head(parts.generator_predictions(hidden))
        case _:
            logits = parts.lm_head(hidden)
    if not isinstance(logits, Tensor):
        raise TypeError(f"expected logits, got {type(logits).__name__}")
    return logits


@torch.inference_mode()
def loss_of(guesser: nn.Module, batches: list[MaskedBatch], device: torch.device) -> float:
    """Return the mean loss of all tokens to be guessed in some batches, in nats."""
    guesser.eval()  # training may go on between two calls
    moved = (send_to_device(batch, device, non_blocking=True) for batch in batches)
    total = sum(guesser(batch).item() for batch in moved)
    return float(total / sum(batch.num_trained for batch in batches))
