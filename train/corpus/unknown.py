"""Owns the check that a base model can read a corpus: tokens its vocabulary lacks are told.

All that a vocabulary has no token for becomes one and the same token, and such words can be told
apart by where they stand only: an English base has little else of Chinese lines.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from serve.encoding import Window
from train.model.base import Base

MOST_UNKNOWN = 0.1
"""Share of a file's tokens above which it is told. With the default base mwo2kg, MaintIE, wikigold
and WNUT-17 have less than 0.0001 each, and Chinese lines 0.67."""

logger = logging.getLogger(__name__)


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the token of what a tokenizer has no token for; None where it has one for all."""
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)


def warn_of_unknown_tokens(windows: Sequence[Window], base: Base, path: Path) -> None:
    """Say what share of a file's tokens a base model does not know, if it is much."""
    if (unknown := unknown_id(base.tokenizer)) is None:
        return
    num_tokens = sum(len(window.input_ids) - 2 for window in windows)  # a special one at each end
    num_unknown = sum(window.input_ids.count(unknown) for window in windows)
    if num_unknown > MOST_UNKNOWN * num_tokens:
        logger.warning(
            "warning: %s: %.0f %% of the tokens are unknown to %s, which cannot tell them apart; "
            "name a base of the lines' language with --model",
            path, 100 * num_unknown / num_tokens, base.name,
        )  # fmt: skip
