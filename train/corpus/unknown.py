"""Owns the check that a base model can read a corpus: tokens its vocabulary lacks are told.

All that a vocabulary has no token for becomes one and the same token, and such words can be told
apart by where they stand only: an English base has little else of Chinese lines.
"""

from __future__ import annotations

import logging

from tokenizers import Tokenizer

from train.corpus.data import Split
from train.model.base import Base

MOST_UNKNOWN = 0.1
"""Share of a split's tokens above which it is told. With the default base mwo2kg, MaintIE, wikigold
and WNUT-17 have less than 0.0001 each, and Chinese lines 0.67."""

logger = logging.getLogger(__name__)


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the token of what a tokenizer has no token for; None where it has one for all."""
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def warn_of_unknown_tokens(split: Split, base: Base) -> None:
    """Say what share of a split's tokens a base model does not know, if it is much."""
    unknown = unknown_id(base.tokenizer)
    encoded = base.encoder().encode([example.text for example in split.examples])
    windows = [window.input_ids for text in encoded for window in text.windows]
    num_tokens = sum(len(ids) - 2 for ids in windows)  # one special token at each end
    num_unknown = sum(list(ids).count(unknown) for ids in windows) if unknown is not None else 0
    if num_unknown > MOST_UNKNOWN * num_tokens:
        logger.warning(
            "warning: %s: %.0f %% of the tokens are unknown to %s, which cannot tell them apart; "
            "name a base of the lines' language with --model",
            split.path, 100 * num_unknown / num_tokens, base.name,
        )  # fmt: skip
