"""Owns the check that dev and test are new to a tagger: lines of theirs that train has are told."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from serve.examples import fold

if TYPE_CHECKING:
    from train.corpus.data import Split

logger = logging.getLogger(__name__)


def warn_of_leaks(train: Split, others: Iterable[Split]) -> None:
    """Say how many lines of other splits stand in train too, up to case and blanks."""
    known = {fold(example.text) for example in train.examples} - {""}
    for split in others:
        if num := sum(fold(example.text) in known for example in split.examples):
            logger.warning(
                "warning: %s: %d of %d lines stand in %s too, which makes figures look better; "
                "python -m train check names them",
                split.path, num, len(split.examples), train.path,
            )  # fmt: skip
