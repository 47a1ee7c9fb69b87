"""Owns what the supported families of BERT differ in before a model is loaded.

Nearly all that a family is, transformers knows. What is left is how many tokens fit: RoBERTa counts
positions from the padding's id + 1 on, so that its first positions are never a token's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILIES = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Hugging Face's `model_type` of each."""
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta")
_ROBERTA_PAD_ID = 1


def pad_id(config: Mapping[str, Any]) -> int:
    """Return the token id of padding, or the family's own where a configuration has none."""
    default = _ROBERTA_PAD_ID if _counts_from_padding(config) else 0
    stated = config.get("pad_token_id")
    return default if stated is None else int(stated)


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
