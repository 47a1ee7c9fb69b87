"""Owns which token stands for a hidden word."""

from __future__ import annotations

from tokenizers import Tokenizer

from serve.errors import CheckpointError

_MASKS = ("[MASK]", "<mask>")


def mask_id(tokenizer: Tokenizer) -> int:
    """Return the id of a tokenizer's mask.

    Raises:
        CheckpointError: If it has none.
    """
    found = (tokenizer.token_to_id(mask) for mask in _MASKS)
    number = next((number for number in found if number is not None), None)
    if number is None:
        raise CheckpointError(
            f"expected a tokenizer with {' or '.join(_MASKS)} to hide words with, got neither; "
            "choose another model, or train without --word-dropout"
        )
    return number
