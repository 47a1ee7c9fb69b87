"""Owns which lines an adaptation reads: raw ones, each once, none that is to be tested on.

Two lines are the same if the tokenizer makes the same tokens of them, whatever their case and
blanks. A part of them, drawn by the seed, is held out to measure perplexity on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serve.encoding import Encoder, Window
from serve.errors import DataError
from serve.examples import numbered_lines
from serve.limits import check_text
from train.adaptation.config import AdaptConfig
from train.corpus.data import read_split

_TOGETHER = 1000
"""Lines that are tokenized together."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines as sequences for a model.

    Attributes:
        train: What is trained on.
        held_out: What perplexity is measured on.
        num_read: Lines in the files that hold a word.
        num_left_out: Those of them that were left out, as they are in a file named for that.
        num_repeated: Those of the rest that were there before.
    """

    train: list[Window]
    held_out: list[Window]
    num_read: int
    num_left_out: int
    num_repeated: int


def read_lines(config: AdaptConfig, encoder: Encoder) -> Lines:
    """Read all lines, leave out what is to be left out, and hold out what is to be held out.

    Args:
        config: Names the files.
        encoder: Cuts lines longer than a block into windows.

    Raises:
        DataError: If a file cannot be read, a line is too long or no UTF-8, naming file and line;
            or if fewer than two different lines are left.
    """
    forbidden = {_identity(w) for path in config.leave_out for w in _labelled(path, encoder)}
    num_read = num_left_out = 0
    distinct: dict[tuple[int, ...], tuple[Window, ...]] = {}
    for windows in (w for path in config.texts for w in _raw(path, encoder)):
        num_read += 1
        if (identity := _identity(windows)) in forbidden:
            num_left_out += 1
        else:
            distinct.setdefault(identity, windows)
    kept = list(distinct.values())
    if len(kept) < 2:
        raise DataError(
            f"{config.texts[0]}: expected two different lines or more to train on, got {len(kept)}"
            f"{f', {num_left_out} left out' if num_left_out else ''}; name more files"
        )
    random.Random(config.seed).shuffle(kept)
    num_held = min(max(1, round(config.held_out_share * len(kept))), len(kept) - 1)
    return Lines(
        train=[window for windows in kept[num_held:] for window in windows],
        held_out=[window for windows in kept[:num_held] for window in windows],
        num_read=num_read,
        num_left_out=num_left_out,
        num_repeated=num_read - num_left_out - len(kept),
    )


def _raw(path: Path, encoder: Encoder) -> Iterator[tuple[Window, ...]]:
    """Yield the windows of each line of a file that has any."""
    some: list[str] = []
    for number, line in numbered_lines(path):
        try:
            check_text(line.strip(), number)
        except DataError as error:
            raise DataError(f"{path}:{number}: {str(error).partition(': ')[2]}") from error
        some.append(line.strip())
        if len(some) == _TOGETHER:
            yield from _windows(some, encoder)
            some.clear()
    yield from _windows(some, encoder)


def _labelled(path: Path, encoder: Encoder) -> Iterator[tuple[Window, ...]]:
    return _windows([example.text for example in read_split(path).examples], encoder)


def _windows(texts: Sequence[str], encoder: Encoder) -> Iterator[tuple[Window, ...]]:
    return (text.windows for text in encoder.encode(texts) if text.windows)


def _identity(windows: tuple[Window, ...]) -> tuple[int, ...]:
    return tuple(token for window in windows for token in window.input_ids)
