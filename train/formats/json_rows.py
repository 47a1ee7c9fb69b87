"""Owns the pieces of a JSON file: the lines of JSON lines, or the elements of one array.

An array is parsed element by element, so that memory is bounded by the longest one and time grows
with the file. Knows nothing of what the pieces mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from serve.data_file import numbered_lines, parse_json
from serve.errors import DataError
from train.formats.record import Row, shown, told

CHUNK_CHARS = 1 << 16
MAX_ELEMENT_CHARS = 1 << 24
"""An element that does not end within this many characters is refused."""

_WHOLE = "export the file anew, whole"
_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_rows(path: Path) -> Iterator[Row]:
    """Yield each line or element with its place: `file:3`, or `file:$[2]` in an array.

    A line that is no JSON comes as a DataError in its place, and so does a line or an element in
    which a name comes twice.

    Raises:
        DataError: If the file cannot be read, or an array not be followed to its end.
    """
    try:
        # Bytes that are not UTF-8 come as lone surrogates, so that their element is still known.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            window = _Window(file)
            if window.next_char() == "[":
                yield from _elements(path, window)
                return
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error
    for number, line in numbered_lines(path):
        if line.strip():
            yield _line(f"{path}:{number}", line)


def _line(place: str, line: str) -> Row:
    try:
        return place, parse_json(line)
    except (ValueError, RecursionError) as error:
        return place, told(place, error)


def _elements(path: Path, window: _Window) -> Iterator[Row]:
    window.take()
    index, char = 0, "" if window.next_char() == "]" else ","
    while char == ",":
        place = f"{path}:$[{index}]"
        window.next_char()
        yield place, _element(place, window)
        index, char = index + 1, window.next_char()
        if char == ",":
            window.take()
        elif char != "]":
            found = shown(char) if char else "the end of the file"
            raise DataError(f"{place}: expected a comma or ] after it, got {found}; {_WHOLE}")
    window.take()
    if char := window.next_char():
        raise DataError(f"{path}: expected nothing after the array, got {shown(char)}; {_WHOLE}")


def _element(place: str, window: _Window) -> object:
    try:
        element = window.element()
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place}: expected a JSON value, got: {error.msg.removesuffix(' at')} "
            f"at its character {error.pos}; {_WHOLE}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise told(place, error) from error
    return _line(place, element)[1]


class _Window:
    """A part of a text file that grows only as far as the element at its beginning needs."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0

    def next_char(self) -> str:
        """Return the next character that is no blank; empty at the end of the file."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._grow():
                return ""

    def take(self) -> None:
        """Step over a character."""
        self._at += 1

    def element(self) -> str:
        """Return what the value that begins here is written as, and step over it.

        Raises:
            ValueError: If it is no JSON value, not UTF-8 or too long.
            RecursionError: If it is nested too deeply.
        """
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise json.JSONDecodeError(error.msg, "", error.pos - self._at) from None
                continue
            if end == len(self._text) and self._grow():  # a number may go on
                continue
            element = self._text[self._at : end]
            _check_utf8(element)
            self._at = end
            return element

    def _grow(self) -> bool:
        """Read on, as much again as there is: an element is parsed twice its length at most."""
        num_chars = len(self._text) - self._at
        if num_chars > MAX_ELEMENT_CHARS:
            raise ValueError(
                f"expected an element of at most {MAX_ELEMENT_CHARS} characters, got a longer one "
                f"or one that is no JSON; {_WHOLE}"
            )
        more = self._file.read(max(CHUNK_CHARS, num_chars))
        if more:
            self._text = self._text[self._at :] + more
            self._at = 0
        return bool(more)


def _check_utf8(element: str) -> None:
    try:
        element.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"expected UTF-8, got character {error.start} of the element that is not; "
            "convert the file"
        ) from error
