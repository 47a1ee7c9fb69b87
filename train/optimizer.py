"""Owns AdamW's parameter groups and the learning rate of each step."""

from __future__ import annotations

from torch import nn
from torch.optim import AdamW

from serve.errors import CheckpointError

WARMUP = 0.1
"""Share of the steps over which the learning rate rises."""
WEIGHT_DECAY = 0.01


def make_optimizer(model: nn.Module) -> AdamW:
    """Return AdamW over the trainable parameters; matrices decay, biases and LayerNorms do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        fused=True,  # one pass over memory instead of several: the step is bound by it
    )


def learning_rate_at(step: int, num_steps: int, peak: float) -> float:
    """Return the learning rate of a step, counted from 0: linear up to the peak, linear to 0."""
    warmup = max(1, round(WARMUP * num_steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (num_steps - step) / max(1, num_steps - warmup)


def freeze(model: nn.Module, num_layers: int) -> None:
    """Stop training a BERT's embeddings and first layers.

    Raises:
        CheckpointError: If the model has fewer layers.
    """
    encoder = model.get_submodule("bert")
    layers = list(encoder.get_submodule("encoder.layer").children())
    if num_layers > len(layers):
        raise CheckpointError(
            f"--freeze-layers: expected at most {len(layers)}, the model's layers, got {num_layers}"
        )
    for module in (encoder.get_submodule("embeddings"), *layers[:num_layers]):
        module.requires_grad_(False)
