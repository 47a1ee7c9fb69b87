"""Owns reading lines of text to tag: UTF-8, any length of file, one bad line named.

A byte order mark and the line ends (LF or CRLF) are no part of a line. A line is read at most one
block further than the cap on characters allows, so a file without line ends cannot fill the memory.
Lines that are there do not wait for lines that are yet to come: a pipe may be slow.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, cast

from serve.errors import DataError
from serve.limits import MAX_CHARS, MAX_TEXT_BYTES

STDIN = "-"
_MAX_BYTES = MAX_TEXT_BYTES + len(codecs.BOM_UTF8) + len(b"\r\n")
CHUNK_LINES = 256
CHUNK_CHARS = 65_536
_BLOCK_BYTES = 65_536  # what a pipe holds


class Line(NamedTuple):
    """A line, and where it stands: in which file, from 1."""

    text: str
    file: str
    number: int


def read_chunks(files: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of files without where they stand; as `placed_chunks` otherwise."""
    for chunk in placed_chunks(files):
        yield [line.text for line in chunk]


def placed_chunks(files: Iterable[str]) -> Iterator[list[Line]]:
    """Yield the lines of files in order, in chunks of bounded number and length.

    A chunk is also at its end where the next line would have to be waited for.

    Args:
        files: Paths; `-` is standard input.

    Raises:
        DataError: Naming file and line, after the lines before it were yielded.
    """
    chunk: list[Line] = []
    num_chars = 0
    try:
        for line in _lines(files):
            if line is not None:
                chunk.append(line)
                num_chars += len(line.text)
            is_full = len(chunk) >= CHUNK_LINES or num_chars >= CHUNK_CHARS
            if chunk and (is_full or line is None):
                yield chunk
                chunk, num_chars = [], 0
    except DataError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _lines(files: Iterable[str]) -> Iterator[Line | None]:
    """Yield lines, and None before waiting for more of them."""
    for name in files:
        shown = "standard input" if name == STDIN else name
        try:
            with _open(name) as file:
                yield from _lines_of(file, shown)
        except OSError as error:
            raise DataError(f"{shown}: expected a readable file, got {error.strerror}") from error


def _open(name: str) -> AbstractContextManager[io.BufferedReader]:
    if name != STDIN:
        return Path(name).open("rb")
    if sys.stdin is None:  # closed by the caller
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return nullcontext(cast(io.BufferedReader, sys.stdin.buffer))


def _lines_of(file: io.BufferedReader, shown: str) -> Iterator[Line | None]:
    number = 0
    for raw in _raw_lines(file):
        if raw is None:
            yield None
            continue
        number += 1
        if len(raw) >= _MAX_BYTES:
            raise DataError(_over_the_cap(shown, number, f"{_MAX_BYTES} bytes or more"))
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            line = raw.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{shown}:{number}: expected UTF-8, got byte {error.start} that is not; "
                "convert the file"
            ) from error
        if len(line) > MAX_CHARS:
            raise DataError(_over_the_cap(shown, number, str(len(line))))
        yield Line(line, shown, number)


def _raw_lines(file: io.BufferedReader) -> Iterator[bytes | None]:
    """Yield what stands between LFs, and None before waiting; the start of what is over the cap."""
    rest = b""
    while True:
        if not _is_ready(file):
            yield None
        block = file.read1(_BLOCK_BYTES)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if not block or len(rest) >= _MAX_BYTES:
            break
    if rest:
        yield rest


def _is_ready(file: io.BufferedReader) -> bool:
    """Return whether reading would not wait."""
    poll = select.poll()
    try:
        poll.register(file, select.POLLIN)
    except io.UnsupportedOperation:  # no descriptor: it is in memory
        return True
    return bool(poll.poll(0))


def _over_the_cap(shown: str, number: int, got: str) -> str:
    return f"{shown}:{number}: expected at most {MAX_CHARS} characters, got {got}; split the line"
