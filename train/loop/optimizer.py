"""Owns the optimizer and its groups of parameters: what decays, and at what share of the rate."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from transformers import PreTrainedModel

from train.config import OptimizerName
from train.model.method import layers_of

MOMENTUM = 0.9
SCALE = "scale"
"""Key of a group's share of the learning rate."""
FIRST_EPOCH = "first_epoch"
"""Key of the epoch, from 1, in which a group begins to be trained; 1 where it is left out."""
CHAIN_SCALE = 30.0
"""Of a CRF's transitions: they begin at 0 and have to reach the size of logits in a few hundred
steps, while the encoder's learning rate suits weights that are nearly right."""


def make_optimizer(name: OptimizerName, groups: list[dict[str, Any]]) -> Optimizer:
    """Return an optimizer over groups that `parameter_groups` made."""
    if name is OptimizerName.SGD:
        # Not fused: that leaves the momentum as memory happens to be if the first step overflows.
        return SGD(groups, momentum=MOMENTUM, foreach=True)
    # Fused: one pass over memory instead of several; the step is bound by it.
    return AdamW(groups, fused=True)


def parameter_groups(
    module: nn.Module, weight_decay: float, scales: dict[int, float] | None = None
) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups; matrices decay, biases and LayerNorms do not.

    Args:
        module: What is trained.
        weight_decay: Of matrices.
        scales: Share of the learning rate of each parameter, by its `id`; 1 for those not in it.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for parameter in module.parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups[(scales or {}).get(id(parameter), 1.0), decay].append(parameter)
    return [
        {"params": parameters, SCALE: scale, "weight_decay": decay}
        for (scale, decay), parameters in groups.items()
    ]


def set_rate(optimizer: Optimizer, rate: float, epoch: int) -> None:
    """Give each group its share of a learning rate: none before its first epoch."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[SCALE] if epoch >= group.get(FIRST_EPOCH, 1) else 0.0


def layer_scales(model: PreTrainedModel, decay: float) -> dict[int, float]:
    """Return the share of the learning rate of each parameter below the head, by its `id`.

    The last layer has the whole `decay`, each one below it and the embeddings that much of the
    one above.
    """
    layers = layers_of(model)
    scales = {id(p): decay ** (len(layers) + 1) for p in model.base_model.parameters()}
    for depth, layer in enumerate(layers):
        scales |= {id(p): decay ** (len(layers) - depth) for p in layer.parameters()}
    return scales
