"""Owns the lines that a tagger was trained on, as its checkpoint carries them."""

from __future__ import annotations

import logging
from pathlib import Path

from serve.errors import DataError
from train.corpus.data import Corpus, Split, read_split
from train.corpus.leaks import warn_of_leaks
from train.model.checkpoint import TRAIN_LINES

logger = logging.getLogger(__name__)


def train_lines_of(folder: Path) -> Split | None:
    """Return the lines that the tagger of a folder was trained on; None where it does not say.

    Raises:
        DataError: Naming file and line, if they cannot be read.
    """
    path = folder / TRAIN_LINES
    return read_split(path) if path.is_file() else None


def warn_of_known_lines(folder: Path, corpus: Corpus) -> None:
    """Say how many dev and test lines a tagger knows that another one starts or learns from.

    A base model that is no tagger has none. Lines that cannot be read are told, and stop nobody.
    """
    try:
        known = train_lines_of(folder)
    except DataError as error:
        logger.warning("warning: not compared with dev and test: %s", error)
        return
    if known:
        warn_of_leaks(known, filter(None, (corpus.dev, corpus.test)))
