"""Owns what of a model is trained: all layers, some, the head only, or LoRA's additions.

The word embeddings are always frozen. A step over their whole table costs a quarter of a MiniLM's
training time, half of what an interrupted run has to store, and brings nothing: measured on mwo2kg,
mean dev F1 0.832 trained (4 runs) and 0.836 frozen (2 runs). Frozen, words that training never sees
keep their place among those it does. To move them, adapt the base model: `python -m train adapt`.
"""

from __future__ import annotations

import warnings

from torch import nn
from transformers import PreTrainedModel

from serve.errors import TaggingError
from train.config import Method, TrainConfig


def prepare(model: PreTrainedModel, config: TrainConfig) -> nn.Module:
    """Freeze, drop out and recompute as the settings say; return what is to be trained.

    That is the model itself, or with LoRA a wrapper around it; `merged` returns the model again.

    Raises:
        TaggingError: If the model has fewer layers than are to be frozen.
    """
    if config.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
    if config.checkpoint_gradients:
        recompute(model)
    if config.method is Method.LORA:
        return _with_lora(model, config.lora_rank)
    freeze(model, len(layers_of(model)) if config.method is Method.HEAD else config.freeze_layers)
    return model


def merged(trained: nn.Module) -> PreTrainedModel:
    """Return what `prepare` returned with LoRA's additions, if any, added into the weights."""
    return trained if isinstance(trained, PreTrainedModel) else trained.merge_and_unload()  # type: ignore[operator]


def inner(trained: nn.Module) -> PreTrainedModel:
    """Return the model inside what `prepare` returned."""
    return trained if isinstance(trained, PreTrainedModel) else trained.get_base_model()  # type: ignore[operator]


def freeze(model: PreTrainedModel, num_layers: int | None) -> None:
    """Stop training a model's word embeddings, or all its embeddings and its first layers.

    Args:
        model: A token classifier of a supported family.
        num_layers: How many layers to freeze, and position and type embeddings with them; None to
            freeze the word embeddings only.

    Raises:
        TaggingError: If the model has fewer layers, which is no fault of the model's.
    """
    embeddings = model.base_model.get_submodule("embeddings")
    embeddings.get_submodule("word_embeddings").requires_grad_(False)
    if num_layers is None:
        return
    layers = layers_of(model)
    if num_layers > len(layers):
        raise TaggingError(
            f"--freeze-layers: expected at most {len(layers)}, the model's layers, got {num_layers}"
        )
    model.base_model.requires_grad_(False)
    for layer in layers[num_layers:]:
        layer.requires_grad_(True)


def layers_of(model: PreTrainedModel) -> list[nn.Module]:
    """Return a model's layers, the one next to the embeddings first."""
    # The only list of modules that these families have, by whatever name.
    return next(list(m) for m in model.base_model.modules() if isinstance(m, nn.ModuleList))


def _with_lora(model: PreTrainedModel, rank: int) -> nn.Module:
    from peft import LoraConfig, TaskType, get_peft_model  # seconds to load, and seldom wanted

    linear = [n for n, m in model.base_model.named_modules() if isinstance(m, nn.Linear)]
    # Twice the rank: LoRA's authors scale so, and the learning rate then suits any rank.
    settings = LoraConfig(
        task_type=TaskType.TOKEN_CLS, r=rank, lora_alpha=2 * rank, target_modules=linear
    )
    with warnings.catch_warnings():  # of a property that transformers renamed and peft asks for
        warnings.simplefilter("ignore", FutureWarning)
        wrapped: nn.Module = get_peft_model(model, settings)
    return wrapped


def recompute(model: PreTrainedModel) -> None:
    """Make a model compute its layers again on the way back instead of keeping what they made."""
    # Its name up to transformers 5.22, which newer ones warn of.
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
