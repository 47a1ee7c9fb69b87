"""Owns the reading of column files: a word and its tag a line, sentences apart by empty lines.

Columns stand between tabs or blanks, two to four of them, the word first and the tag last.
`-DOCSTART-` lines, a byte order mark and the line ends of any system are understood. The words of a
sentence become a text, joined by single blanks, and its tags become spans of characters.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from serve.errors import DataError
from serve.examples import Example, Span, numbered_lines
from train.schemes import Scheme, SchemeDetector, word_spans

_BLANKS = re.compile(r"[ \t]+")
_DOCSTART = "-DOCSTART-"
_REMEDY = (
    "put a word and its tag, up to 4 columns, on each line and an empty line between sentences"
)

logger = logging.getLogger(__name__)


def numbered_conll(path: Path) -> Iterator[tuple[int, Example]]:
    """Yield the number of a sentence's first line, from 1, and the sentence.

    The scheme is said in the log once the file has been read.

    Raises:
        DataError: Naming file and line, if the columns or a tag are not as expected.
    """
    detector = SchemeDetector()
    words: list[str] = []
    tags: list[str] = []
    first_number, num_columns = 0, 0
    for number, line in numbered_lines(path):
        columns = _columns(line)
        if not columns or columns[0] == _DOCSTART:
            if words:
                yield first_number, _example(words, tags)
                words, tags = [], []
            continue
        try:
            num_columns = num_columns or len(columns)
            _check_columns(columns, num_columns)
            detector.see(columns[-1], tags[-1] if tags else "O")
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}; {_REMEDY}") from error
        first_number = first_number if words else number
        words.append(columns[0])
        tags.append(columns[-1])
    if words:
        yield first_number, _example(words, tags)
    _report(path, detector)


def _columns(line: str) -> list[str]:
    """Return a line's columns; where there is a tab, a word may hold blanks."""
    line = line.strip(" \t\r\n")
    if not line:
        return []
    return [cell.strip(" ") for cell in line.split("\t")] if "\t" in line else _BLANKS.split(line)


def _check_columns(columns: list[str], num_columns: int) -> None:
    if not 2 <= len(columns) <= 4:
        raise ValueError(f"expected 2 to 4 columns, got {len(columns)}")
    if len(columns) != num_columns:
        raise ValueError(f"expected {num_columns} columns as above, got {len(columns)}")


def _example(words: list[str], tags: list[str]) -> Example:
    starts: list[int] = []
    position = 0
    for word in words:
        starts.append(position)
        position += len(word) + 1
    spans = [
        Span(
            starts[span.first_word],
            starts[span.end_word - 1] + len(words[span.end_word - 1]),
            span.label,
        )
        for span in word_spans(tags)
    ]
    return Example(" ".join(words), tuple(spans))


def _report(path: Path, detector: SchemeDetector) -> None:
    logger.info("%s: scheme %s", path, detector.scheme)
    if detector.num_ill_formed and detector.scheme not in (Scheme.IO, Scheme.IOB1):
        logger.warning(
            "warning: %s: %d tags continue nothing and start an entity",
            path,
            detector.num_ill_formed,
        )
