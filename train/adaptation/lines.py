"""Owns which lines an adaptation reads: raw ones, each once, none that is to be tested on.

Two lines are the same if the tokenizer makes the same tokens of them. One that is to be tested on
is known by its words too, so that a cased tokenizer does not let it in in other case. A part of the
lines, drawn by the seed, is held out to measure perplexity on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from serve.encoding import Encoder, Window
from serve.errors import DataError
from serve.examples import fold, numbered_lines
from serve.limits import check_text
from train.adaptation.config import AdaptConfig
from train.corpus.data import read_split
from train.formats.flat import Overlaps, Reading

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
    forbidden: set[object] = set()
    for path in config.leave_out:
        for line in _labelled(path, encoder):
            forbidden |= {fold(line.text), line.identity}
    num_read = num_left_out = 0
    distinct: dict[tuple[int, ...], tuple[Window, ...]] = {}
    for line in (line for path in config.texts for line in _raw(path, encoder)):
        num_read += 1
        if line.identity in forbidden or fold(line.text) in forbidden:
            num_left_out += 1
        else:
            distinct.setdefault(line.identity, line.windows)
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


class _Line(NamedTuple):
    text: str
    windows: tuple[Window, ...]

    @property
    def identity(self) -> tuple[int, ...]:
        return tuple(token for window in self.windows for token in window.input_ids)


def _raw(path: Path, encoder: Encoder) -> Iterator[_Line]:
    """Yield each line of a file that has a word."""
    some: list[str] = []
    for number, line in numbered_lines(path):
        try:
            check_text(line.strip(), number)
        except DataError as error:
            raise DataError(f"{path}:{number}: {str(error).partition(': ')[2]}") from error
        some.append(line.strip())
        if len(some) == _TOGETHER:
            yield from _lines(some, encoder)
            some.clear()
    yield from _lines(some, encoder)


def _labelled(path: Path, encoder: Encoder) -> Iterator[_Line]:
    reading = Reading(overlaps=Overlaps.LONGEST)  # of labelled lines the texts alone count here
    return _lines([example.text for example in read_split(path, reading).examples], encoder)


def _lines(texts: Sequence[str], encoder: Encoder) -> Iterator[_Line]:
    encoded = zip(texts, encoder.encode(texts), strict=True)
    return (_Line(text, line.windows) for text, line in encoded if line.windows)
