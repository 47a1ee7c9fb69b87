"""Owns which lines drift compares: held-out ones with new ones, and what is left out of either.

Of either set each text counts once, and not at all where the train lines have it, or the other set:
a work order that comes every week says nothing of what is new. Left out of both sets, as chance
deals the lines of both alike: if only the new lines lost them, texts that recur would stand in the
reference alone, and as they are often shorter than others, lines of one kind be taken for drift.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from serve.errors import DataError
from train.distillation.unlabelled import key_of, read_unlabelled

MAX_LINES = 2000
"""Most lines of either set that are compared, drawn at random: bounds time and memory."""
_SEED = 1


class Compared(NamedTuple):
    """The texts of two sets that have none in common, each once.

    Attributes:
        held: Held-out ones.
        new: New ones.
        num_known: New lines left out, since the train or held-out lines have them or they came
            before.
        num_again: Held-out texts left out, since the new lines have them.
    """

    held: list[str]
    new: list[str]
    num_known: int
    num_again: int


def once(texts: Iterable[str], train: Iterable[str]) -> dict[str, str]:
    """Return texts that train has not, each once, by what texts share that count as the same."""
    known = set(map(key_of, train))
    by_key = {key_of(text): text for text in texts}
    return {key: text for key, text in by_key.items() if key and key not in known}


def compared(held: dict[str, str], train: Sequence[str], files: Sequence[Path]) -> Compared:
    """Read new lines and part them from the held-out ones.

    Args:
        held: Held-out texts, of `once`.
        train: Train texts.
        files: Of the new lines, one text a line.

    Raises:
        DataError: If a file cannot be read or a line is not a text, naming file and line, or there
            is none.
    """
    read = read_unlabelled(files, held=(), known=train)
    if not (read.texts or read.num_known):  # a failed export must not pass for good news
        raise DataError(f"{files[0]}: expected lines of text, got none; name other files")
    new = once(read.texts, ())
    again = held.keys() & new.keys()
    return Compared(
        held=_drawn([text for key, text in held.items() if key not in again]),
        new=_drawn([text for key, text in new.items() if key not in again]),
        num_known=read.num_known + len(again),
        num_again=len(again),
    )


def _drawn(texts: list[str]) -> list[str]:
    return random.Random(_SEED).sample(texts, MAX_LINES) if len(texts) > MAX_LINES else texts
