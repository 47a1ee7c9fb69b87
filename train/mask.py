"""Owns which token hides a word from a model: the one its pre-training hid words with."""

from __future__ import annotations

from tokenizers import Tokenizer

_MASKS = ("[MASK]", "<mask>")


def mask_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the mask token; None for a tokenizer without one."""
    ids = (tokenizer.token_to_id(mask) for mask in _MASKS)
    return next((found for found in ids if found is not None), None)
