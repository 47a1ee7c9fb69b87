"""Owns which settings of fine-tuning do not go together, however they were given."""

from __future__ import annotations

from train.config import Decoder, Method, TrainConfig


def clash(config: TrainConfig) -> str | None:
    """Return what keeps settings from going together, naming their flags; None if they do."""
    is_crf = config.decoder is Decoder.CRF
    if config.label_all_tokens and is_crf:
        return "--label-all-tokens: expected another --decoder: a CRF's chain is of words"
    if is_crf and (config.label_smoothing or config.class_weights):
        return "--label-smoothing, --class-weights: expected another --decoder than crf"
    if config.method is Method.LORA and config.freeze_layers is not None:
        return "--freeze-layers: expected another --method: LoRA freezes every layer"
    return None
