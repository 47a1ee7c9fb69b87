"""Owns which lines an adaptation reads: raw ones, each once, none that is to be tested on.

A line over the cap on characters counts as several: it would be cut into windows in any case. Two
lines are the same if the tokenizer makes the same tokens of them. One that is to be tested on is
known by its words too, so that a cased tokenizer does not let it in in other case. A part of the
lines, drawn by the seed, is held out to measure perplexity on.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

from serve.data_file import numbered_lines
from serve.encoding import Encoder
from serve.errors import DataError
from serve.examples import fold
from serve.limits import MAX_CHARS
from train.adaptation.blocks import TokenSequence, sequence_of
from train.adaptation.config import AdaptConfig
from train.corpus.data import read_split
from train.corpus.raw import check_raw
from train.formats.flat import Overlaps, Reading

logger = logging.getLogger(__name__)

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

    train: list[TokenSequence]
    held_out: list[TokenSequence]
    num_read: int
    num_left_out: int
    num_repeated: int


def read_lines(config: AdaptConfig, encoder: Encoder) -> Lines:
    """Read all lines, leave out what is to be left out, and hold out what is to be held out.

    Args:
        config: Names the files.
        encoder: Cuts lines longer than a block into windows.

    Raises:
        DataError: If a file cannot be read or a line is no UTF-8, naming file and line; or if fewer
            than two different lines are left.
    """
    forbidden: set[object] = set()
    for path in config.leave_out:
        for line in _labelled(path, encoder):
            forbidden |= {fold(line.text), line.identity}
    num_read = num_left_out = 0
    distinct: dict[bytes, tuple[TokenSequence, ...]] = {}
    folded: set[bytes] = set()  # hashes, for the texts would be all there is once more
    for line in (line for path in config.texts for line in _raw(path, encoder)):
        num_read += 1
        if line.identity in forbidden or fold(line.text) in forbidden:
            num_left_out += 1
        elif (key := blake2b(fold(line.text).encode(), digest_size=16).digest()) not in folded:
            folded.add(key)
            distinct.setdefault(line.identity, line.sequences)
    kept = list(distinct.values())
    if len(kept) < 2:
        raise DataError(
            f"{config.texts[0]}: expected two different lines or more to train on, got {len(kept)}"
            f"{f', {num_left_out} left out' if num_left_out else ''}; name more files"
        )
    random.Random(config.seed).shuffle(kept)
    num_held = min(max(1, round(config.held_out_share * len(kept))), len(kept) - 1)
    return Lines(
        train=[sequence for line in kept[num_held:] for sequence in line],
        held_out=[sequence for line in kept[:num_held] for sequence in line],
        num_read=num_read,
        num_left_out=num_left_out,
        num_repeated=num_read - num_left_out - len(kept),
    )


class _Line(NamedTuple):
    text: str
    sequences: tuple[TokenSequence, ...]

    @property
    def identity(self) -> bytes:
        return b"".join(sequence.input_ids.tobytes() for sequence in self.sequences)


def _raw(path: Path, encoder: Encoder) -> Iterator[_Line]:
    """Yield each line of a file that has a word, one over the cap in pieces."""
    some: list[str] = []
    num_cut = 0
    for number, line in numbered_lines(path):
        text = line.strip()
        check_raw(f"{path}:{number}", text)
        is_long = len(text) > MAX_CHARS
        num_cut += is_long
        some += wrap(text, MAX_CHARS, break_on_hyphens=False) if is_long else [text]
        if len(some) >= _TOGETHER:
            yield from _lines(some, encoder)
            some.clear()
    yield from _lines(some, encoder)
    if num_cut:
        logger.warning(
            "warning: %s: %d lines of more than %d characters cut into pieces, at blanks where "
            "there are some", path, num_cut, MAX_CHARS,
        )  # fmt: skip


def _labelled(path: Path, encoder: Encoder) -> Iterator[_Line]:
    reading = Reading(overlaps=Overlaps.LONGEST)  # of labelled lines the texts alone count here
    return _lines([example.text for example in read_split(path, reading).examples], encoder)


def _lines(texts: Sequence[str], encoder: Encoder) -> Iterator[_Line]:
    encoded = zip(texts, encoder.encode(texts), strict=True)
    return (
        _Line(text, tuple(map(sequence_of, line.windows))) for text, line in encoded if line.windows
    )
