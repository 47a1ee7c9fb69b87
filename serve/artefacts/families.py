"""Owns what the supported families of BERT differ in before a model is loaded.

Nearly all that a family is, transformers knows. What is left is how many tokens fit: RoBERTa counts
positions from the padding's id + 1 on, so that its first positions are never a token's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serve.errors import CheckpointError

FAMILIES = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Hugging Face's `model_type` of each."""
MAX_WEIGHT_BYTES = 2**31 - 2**24
"""Of FP32 weights in one ONNX file: protobuf's limit of 2 GiB, less room for the nodes."""
_LOADING = {
    "use_safetensors": True,
    "trust_remote_code": False,
    "local_files_only": True,
    "output_loading_info": True,
    "dtype": "float32",
    # Settings of a configuration that change no logit, as this code needs them.
    "return_dict": True,  # old configurations ask for a tuple
    "chunk_size_feed_forward": 0,  # saves memory in training, and takes multiples of it only
    "output_attentions": False,  # some forms of attention have none to give, and refuse to load
}
_PLAIN = {"position_embedding_type": "absolute", "is_decoder": False}
"""Settings that change what a model computes, and the values that make it a plain encoder."""
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta")
_ROBERTA_PAD_ID = 1


def check_plain(config: Mapping[str, Any], path: Path) -> None:
    """Refuse a model that is no plain encoder of the families.

    Raises:
        CheckpointError: Naming the file and the setting.
    """
    if (kind := config.get("model_type")) not in FAMILIES:
        raise CheckpointError(
            f"{path}: expected a model_type of {', '.join(FAMILIES)}, got {kind!r}; "
            "choose a model of these families"
        )
    for key, expected in _PLAIN.items():
        if (got := config.get(key, expected)) != expected:
            raise CheckpointError(
                f"{path}: expected {key} {expected!r}, got {got!r}; choose a model without it"
            )


def check_padding(config: Mapping[str, Any], path: Path) -> None:
    """Refuse padding that is no token.

    Raises:
        CheckpointError: Naming the file and what it has.
    """
    stated, vocab_size = config.get("pad_token_id"), config["vocab_size"]
    if stated is not None and not (type(stated) is int and 0 <= stated < vocab_size):
        raise CheckpointError(
            f"{path}: expected pad_token_id from 0 to {vocab_size - 1}, got {stated!r:.40}; "
            "set the tokenizer's id of padding"
        )


def pad_id(config: Mapping[str, Any]) -> int:
    """Return the token id of padding, or the family's own where a configuration has none."""
    default = _ROBERTA_PAD_ID if _counts_from_padding(config) else 0
    stated = config.get("pad_token_id")
    return default if stated is None else int(stated)


def loading(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every `from_pretrained` is told of a model.

    Args:
        config: Its configuration, whose padding is a token's.
    """
    return _LOADING | {"pad_token_id": pad_id(config)}


def max_tokens(config: Mapping[str, Any]) -> int:
    """Return the longest sequence a model takes, special tokens included.

    Args:
        config: Its configuration, with `model_type` and `max_position_embeddings`.
    """
    return int(config["max_position_embeddings"]) - first_position(config)


def first_position(config: Mapping[str, Any]) -> int:
    """Return the position id of a text's first token."""
    return pad_id(config) + 1 if _counts_from_padding(config) else 0


def _counts_from_padding(config: Mapping[str, Any]) -> bool:
    return config.get("model_type") in _POSITIONS_AFTER_PADDING
