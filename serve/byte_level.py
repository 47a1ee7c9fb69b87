"""Owns the blank that byte-level tokenizers put before a text, which takes no letter's place.

With `add_prefix_space` they put one before each piece of a text, so after each added token too, and
where they trim blanks, tokenizers counts it as if it stood in the text: the offsets lose a letter.
Here nothing is trimmed; `serve.words` does that.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, cast

from tokenizers import Tokenizer, pre_tokenizers, processors


def untrimmed(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer whose offsets have all their letters, if not a blank too many.

    A copy where it puts such blanks: what a checkpoint keeps of the tokenizer stays as it came.
    """
    steps = _parts(tokenizer.pre_tokenizer)
    if not any(getattr(step, "add_prefix_space", False) for step in steps):
        return tokenizer
    copy = deepcopy(tokenizer)
    for step in _parts(copy.post_processor):
        if getattr(step, "trim_offsets", False):
            step.trim_offsets = False
    return copy


def _parts(step: object) -> list[Any]:
    """Return the steps that one step of a tokenizer is made of."""
    if isinstance(step, pre_tokenizers.Sequence | processors.Sequence):
        return list(cast("Iterable[Any]", step))
    return [step]
