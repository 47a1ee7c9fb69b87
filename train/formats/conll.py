"""Owns column files: a word and its tag a line, sentences apart by empty lines.

Columns stand between tabs or blanks, two to four of them, the word first and the tag last.
`-DOCSTART-` lines, a byte order mark and the line ends of any system are understood. A line before
a sentence that begins with # and a blank is a comment, unless it is a word # with a tag. The words
of a sentence become a text, joined by single blanks, and its tags become spans of characters.
Written are two columns with a tab between them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from serve.data_file import numbered_lines
from serve.errors import DataError
from serve.examples import Example, Span
from serve.files import replacing_file
from train.formats.record import Record, Row, told
from train.formats.schemes import SchemeDetector, WordSpan, is_tag, tags_of, word_spans
from train.formats.words import Writing, spans_of_words, word_offsets

_BLANKS = re.compile(r"[ \t]+")
_DOCSTART, _COMMENT = "-DOCSTART-", re.compile(r"# +\S")
_REMEDY = (
    "put a word and its tag, up to 4 columns, on each line and an empty line between sentences"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The columns of a sentence that are read.

    Attributes:
        words: Its words.
        tags: Their tags.
        document: Number of its document: of the `-DOCSTART-` lines before it.
    """

    words: Sequence[str]
    tags: Sequence[str]
    document: int


@dataclass(slots=True)
class _Counted:
    """Sees whether the words of every sentence seen, one with several among them, are its count."""

    _all: bool = True
    _longest: int = 0

    def see(self, words: Sequence[str]) -> None:
        self._all &= list(words) == [str(n) for n in range(1, len(words) + 1)]
        self._longest = max(self._longest, len(words))

    @property
    def is_every_sentence(self) -> bool:
        return self._all and self._longest > 1


def rows(path: Path) -> Iterator[Row]:
    """Yield each `Sentence` with the place of its first word; a DataError for a line that is none.

    A sentence with such a line is not yielded: without the word it would be another one.

    The scheme is said in the log once the file has been read.

    Raises:
        DataError: If the file cannot be read, or its first column is a count of the words.
    """
    detector = SchemeDetector()
    words: list[str] = []
    tags: list[str] = []
    counted = _Counted()
    first_number, num_columns, num_comments, document, is_whole = 0, 0, 0, 0, True
    for number, line in chain(numbered_lines(path), [(0, "")]):
        columns = _columns(line)
        if not columns or columns[0] == _DOCSTART:
            if words and is_whole:
                counted.see(words)
                yield f"{path}:{first_number}", Sentence(words, tags, document)
            words, tags, is_whole = [], [], True
            document += bool(columns)
            continue
        if not words and is_whole and _is_comment(line, columns, num_columns):
            num_comments += 1
            continue
        num_columns = num_columns or len(columns)
        try:
            _check_columns(columns, num_columns)
            detector.see(columns[-1], tags[-1] if tags else "O")
        except ValueError as error:
            yield f"{path}:{number}", told(f"{path}:{number}", ValueError(f"{error}; {_REMEDY}"))
            is_whole = False
            continue
        first_number = first_number if words else number
        words.append(columns[0])
        tags.append(columns[-1])
    if counted.is_every_sentence and num_columns > 2:
        raise DataError(
            f"{path}: expected words in the first column, got 1, 2, 3 … in every sentence; drop "
            "that column"
        )
    if num_comments:
        logger.info("%s: %d comments", path, num_comments)
    _report(path, detector)


def parse(place: str, sentence: Sentence) -> Record:
    """Return a sentence as a labelled line."""
    text, offsets = joined(sentence.words)
    spans = tuple(span_of_words(span, offsets) for span in word_spans(sentence.tags))
    return Record(place, text, spans, tuple(sentence.tags), {"document": sentence.document})


def joined(words: Iterable[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return the text of words, single blanks between them, and where each of them stands in it."""
    words = list(words)
    offsets: list[tuple[int, int]] = []
    start = 0
    for word in words:
        offsets.append((start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), offsets


def span_of_words(span: WordSpan, offsets: Sequence[tuple[int, int]]) -> Span:
    """Return a range of words as one of characters."""
    return Span(offsets[span.first_word][0], offsets[span.end_word - 1][1], span.label)


def write(path: Path, examples: Iterable[Example], writing: Writing) -> None:
    """Write sentences, each of a text with a word at least.

    Raises:
        ValueError: If a span does not fit its words, or a word would be read as something else.
    """
    with replacing_file(path) as file:
        for example in examples:
            _write_sentence(file, example, writing)


def _write_sentence(file: TextIO, example: Example, writing: Writing) -> None:
    offsets = word_offsets(example.text, writing.words)
    spans = spans_of_words(example, offsets, widen=False)
    words = [example.text[start:end] for start, end in offsets]
    if _DOCSTART in words:
        raise ValueError(f"expected no word {_DOCSTART}, which parts documents, got one; drop it")
    if words[0].startswith("\ufeff") and not file.tell():
        file.write("\n")  # as the first of the file it would be taken for a byte order mark
    for word, tag in zip(words, tags_of(len(words), spans, writing.scheme), strict=True):
        file.write(f"{word}\t{tag}\n")
    file.write("\n")


def _columns(line: str) -> list[str]:
    """Return a line's columns; where there is a tab, a word may hold blanks."""
    line = line.strip(" \t\r\n")
    if not line:
        return []
    return [cell.strip(" ") for cell in line.split("\t")] if "\t" in line else _BLANKS.split(line)


def _is_comment(line: str, columns: list[str], num_columns: int) -> bool:
    """Tell whether a line is none of a word and its tag; both may be # and blanks."""
    if not _COMMENT.match(line):
        return False
    is_word = 2 <= len(columns) <= 4 and len(columns) == (num_columns or len(columns))
    return not (is_word and is_tag(columns[-1]))


def _check_columns(columns: list[str], num_columns: int) -> None:
    if not 2 <= len(columns) <= 4:
        raise ValueError(f"expected 2 to 4 columns, got {len(columns)}")
    if len(columns) != num_columns:
        raise ValueError(f"expected {num_columns} columns as above, got {len(columns)}")


def _report(path: Path, detector: SchemeDetector) -> None:
    logger.info("%s: scheme %s", path, detector.scheme)
    if detector.num_ill_formed:
        logger.warning(
            "warning: %s: tags that continue nothing and so start an entity: %d",
            path,
            detector.num_ill_formed,
        )
