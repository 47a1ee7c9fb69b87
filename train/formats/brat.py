"""Owns brat's stand-off form: a folder of texts, `doc.txt`, and of their annotations, `doc.ann`.

    T1<TAB>Item 4 8<TAB>hose               an entity; other annotations are passed over
    T2<TAB>Item 9 12;17 21<TAB>old hose    a discontinuous one: start and end of each piece

Policy: each line of a text is an example, since brat cuts texts at line ends and lets no piece of
an entity cross one. Pieces of an entity with nothing but blanks between them on one line are one
span; any other piece is a span by itself, so that no character is labelled which the annotator left
out. Texts without a .ann file are not annotated and left out, as are empty lines.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.data_file import numbered_lines
from serve.errors import DataError
from serve.examples import Span
from serve.limits import MAX_CHARS
from train.formats.record import Record, Row, shown, told

_BLANKS = re.compile(r"[^\S\n]*")
_ENTITY = re.compile(r"T\S*\t(\S+) ([0-9]{1,9} [0-9]{1,9}(?:;[0-9]{1,9} [0-9]{1,9})*)(?:\t(.*))?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document.

    Attributes:
        text: The line.
        spans: Its spans, by offsets in the line, in the order of the .ann file.
        document: Name of the document, without suffix.
    """

    text: str
    spans: tuple[Span, ...]
    document: str


def rows(path: Path) -> Iterator[Row]:
    """Yield each `Line` of a folder's documents, or of the one document a file belongs to.

    An annotation that does not fit its text comes as a DataError.

    Raises:
        DataError: If a file cannot be read, or an annotation has no text.
    """
    for text_path in _documents(path):
        text = _Text(text_path)
        annotations = text_path.with_suffix(".ann")
        for number, line in numbered_lines(annotations):
            try:
                if line.startswith("T"):
                    text.add(line.rstrip("\n"))
            except ValueError as error:
                place = f"{annotations}:{number}"
                yield place, told(place, error)
        yield from text.lines()


def parse(place: str, line: Line) -> Record:
    """Return a line of a document as a labelled line."""
    return Record(place, line.text, line.spans, fields={"document": line.document})


def _documents(path: Path) -> list[Path]:
    """Return the annotated texts of a folder and all below it, or the one a file belongs to."""
    if not path.is_dir():
        return [path.with_suffix(".txt")]
    if link := next((p for p in path.rglob("*") if p.is_symlink() and p.is_dir()), None):
        logger.warning(
            "warning: %s: expected a folder, got a link to one, which is not followed; put the "
            "folder itself there", link,
        )  # fmt: skip
    annotated = sorted(annotations.with_suffix(".txt") for annotations in path.rglob("*.ann"))
    num_others = len(set(path.rglob("*.txt")).difference(annotated))
    if num_others:
        logger.info("%s: %d texts without a .ann file left out", path, num_others)
    return annotated


class _Text:
    """A document's text, and the spans put onto its lines so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = _read(path)
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]
        self._spans: dict[int, list[Span]] = {}

    def add(self, annotation: str) -> None:
        """Take in an entity.

        Raises:
            ValueError: If it is none, or its offsets do not fit the text.
        """
        match = _ENTITY.fullmatch(annotation)
        if not match or not match[1].isprintable():
            raise ValueError(
                f"expected T1<TAB>Type start end<TAB>text as an entity, got {shown(annotation)}; "
                "correct the line"
            )
        pieces = [self._piece(piece) for piece in match[2].split(";")]
        found = " ".join(self._text[start:end] for start, end in pieces)
        if match[3] is not None and "".join(found.split()) != "".join(match[3].split()):
            raise ValueError(
                f"expected the text {shown(match[3])} at {match[2]}, as it says there, "
                f"got {shown(found)}; offsets count characters, line ends as they are in the file"
            )
        for start, end in self._joined(pieces):
            row = bisect_right(self._starts, start) - 1
            span = Span(start - self._starts[row], end - self._starts[row], match[1])
            self._spans.setdefault(row, []).append(span)

    def lines(self) -> Iterator[Row]:
        """Yield the lines that are not empty."""
        ends = [*self._starts[1:], len(self._text)]
        for row, (start, end) in enumerate(zip(self._starts, ends, strict=True)):
            text = self._text[start:end].rstrip("\r\n")
            if text.strip():
                spans = tuple(self._spans.get(row, ()))
                yield f"{self._path}:{row + 1}", Line(text, spans, self._path.stem)

    def _piece(self, offsets: str) -> tuple[int, int]:
        start, end = map(int, offsets.split(" "))
        if not start < end <= len(self._text):
            raise ValueError(
                f"expected start < end <= {len(self._text)}, the text's length, got {offsets}; "
                "correct the offsets"
            )
        if self._text.find("\n", start, end) >= 0 or end - start > MAX_CHARS:
            raise ValueError(
                f"expected pieces that each lie within a line, got {offsets}; "
                "write one piece a line, with ; between"
            )
        return start, end

    def _joined(self, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return an entity's pieces with those together that only blanks part."""
        joined: list[tuple[int, int]] = []
        for start, end in sorted(pieces):
            if joined and self._only_blanks(joined[-1][1], start):
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return joined

    def _only_blanks(self, start: int, end: int) -> bool:
        blanks = _BLANKS.match(self._text, start)
        return blanks is not None and blanks.end() >= end


def _read(path: Path) -> str:
    """Return a text with its line ends as they are, since offsets count them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: expected the text that {path.with_suffix('.ann').name} is about, "
            f"got {error.strerror}; put both in one folder"
        ) from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{number}: expected UTF-8, got a byte that is not; convert the file"
        ) from error
