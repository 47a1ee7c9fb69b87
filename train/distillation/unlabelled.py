"""Owns the unlabelled lines that a model may learn from: read, cleaned, and kept apart from dev.

A line that dev or test holds too would leak: the model would have seen it, if not its labels. Lines
count as the same when their letters and digits are, whatever their case and punctuation.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import category, normalize

from serve.errors import DataError
from serve.limits import check_text
from serve.lines import read_chunks
from train.corpus.raw import check_raw


class Unlabelled(NamedTuple):
    """Lines to learn from, and what was left out.

    Attributes:
        texts: The lines, each once.
        num_held: How many were left out because dev or test has them.
        num_known: How many were left out because the train lines have them, or came before.
    """

    texts: list[str]
    num_held: int
    num_known: int


def read_unlabelled(
    files: Sequence[Path],
    *,
    held: Iterable[str],
    known: Iterable[str],
    most: int | None = None,
    seed: int = 0,
) -> Unlabelled:
    """Read lines of text, one a line, from files.

    Args:
        files: The files.
        held: Texts of dev and test.
        known: Texts that are trained on already.
        most: Largest number of lines to return, None for all; of more, as many are drawn.
        seed: Of the draw, if there is one.

    Raises:
        DataError: If a file cannot be read or a line is not a text; naming file and line.
    """
    held_keys, known_keys = set(map(key_of, held)), set(map(key_of, known))
    texts: list[str] = []
    num_held = num_known = 0
    for text in _lines(files):
        key = key_of(text)
        if key in held_keys:
            num_held += 1
        elif key in known_keys:
            num_known += 1
        elif key:
            known_keys.add(key)
            texts.append(text)
    if most is not None and len(texts) > most:
        rows = sorted(random.Random(seed).sample(range(len(texts)), most))
        texts = [texts[row] for row in rows]
    return Unlabelled(texts, num_held, num_known)


def key_of(text: str) -> str:
    """Return what two lines share that count as the same: their letters and digits, lower case.

    The marks on a letter are part of it: in Hindi they are its vowel.
    """
    kept: list[str] = []
    in_word = False
    for char in normalize("NFC", text.casefold()):
        in_word = char.isalnum() or (in_word and category(char).startswith("M"))
        kept.append(char if in_word else " ")
    return " ".join("".join(kept).split())


def _lines(files: Sequence[Path]) -> Iterable[str]:
    for path in files:
        number = 0
        for chunk in read_chunks([str(path)]):
            for line in chunk:
                number += 1
                try:
                    check_text(line, number)
                except DataError as error:
                    reason = str(error).partition(": ")[2]
                    raise DataError(f"{path}:{number}: {reason}") from error
                text = line.strip()
                check_raw(f"{path}:{number}", text)
                yield text
