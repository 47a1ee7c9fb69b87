"""Owns a base model's tokenizer: which of its files makes it."""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer

from serve.artefacts.pretrained import TOKENIZER, TOKENIZER_CONFIG, VOCABULARY, Pretrained
from serve.artefacts.tokenizer_file import read_tokenizer
from serve.artefacts.tokenizer_settings import check_settings
from serve.errors import CheckpointError, first_line

_OF_A_VOCABULARY = ("bert", "distilbert", "electra")
"""Families whose tokenizers need no more than `vocab.txt`."""
_CASE = "do_lower_case"

logger = logging.getLogger(__name__)


def find_tokenizer(files: Pretrained, family: str) -> Tokenizer:
    """Return a model's tokenizer; from `vocab.txt` where it has nothing newer.

    Args:
        files: The model's.
        family: Its `model_type`.

    Raises:
        CheckpointError: If it has none, or it cannot be read.
    """
    names = (TOKENIZER, VOCABULARY) if family in _OF_A_VOCABULARY else (TOKENIZER,)
    name = next(filter(files.has, names), None)
    if name is None:
        raise CheckpointError(
            f"{files.folder}: expected {' or '.join(names)}, got none; choose a model that has it"
        )
    try:
        if name == VOCABULARY:
            tokenizer = _of_vocabulary(files)
        else:
            tokenizer = read_tokenizer(files.read(TOKENIZER))
            _warn_of_settings(files, tokenizer)
    except CheckpointError:
        raise
    except Exception as error:  # tokenizers raises plain Exception
        raise CheckpointError(
            f"{files.folder / name}: expected a tokenizer, got {first_line(error)}; "
            "choose another model"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _of_vocabulary(files: Pretrained) -> Tokenizer:
    with files.checked_vocabulary() as checked:
        made = AutoTokenizer.from_pretrained(checked, **_case(checked))
        tokenizer: Tokenizer = made.backend_tokenizer
    return tokenizer


def _case(folder: Path) -> dict[str, bool]:
    """Return whether to lower the case, told from `vocab.txt` where no setting says it.

    An uncased BERT has no piece with a capital, special tokens aside.
    """
    settings = folder / TOKENIZER_CONFIG
    if settings.is_file() and _CASE in json.loads(settings.read_text(encoding="utf-8")):
        return {}
    pieces = (folder / VOCABULARY).read_text(encoding="utf-8").splitlines()
    words = (piece for piece in pieces if not (piece.startswith("[") and piece.endswith("]")))
    return {_CASE: all(word == word.lower() for word in words)}


def _warn_of_settings(files: Pretrained, tokenizer: Tokenizer) -> None:
    """Tell of settings beside `tokenizer.json` that contradict it; training goes by the latter."""
    if files.has(TOKENIZER_CONFIG):
        try:
            check_settings(files.folder, files.config(TOKENIZER_CONFIG), tokenizer)
        except CheckpointError as error:
            _warn_once(str(error))


@cache  # a base is looked for more than once, and anew for each of many trainings
def _warn_once(message: str) -> None:
    logger.warning("warning: %s", message)
