"""Owns reading lines of text to tag: UTF-8, any length of file, one bad line named.

A byte order mark and the line ends (LF or CRLF) are no part of a line. A line is never read further
than the cap on characters allows, so a file without line ends cannot fill the memory.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

from serve.errors import DataError
from serve.limits import MAX_CHARS, MAX_TEXT_BYTES

STDIN = "-"
_MAX_BYTES = MAX_TEXT_BYTES + len(codecs.BOM_UTF8) + len(b"\r\n")
CHUNK_LINES = 256
CHUNK_CHARS = 65_536


def read_chunks(files: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of files in order, in chunks of bounded number and length.

    Args:
        files: Paths; `-` is standard input.

    Raises:
        DataError: Naming file and line, after the lines before it were yielded.
    """
    chunk: list[str] = []
    num_chars = 0
    try:
        for line in _lines(files):
            chunk.append(line)
            num_chars += len(line)
            if len(chunk) >= CHUNK_LINES or num_chars >= CHUNK_CHARS:
                yield chunk
                chunk, num_chars = [], 0
    except DataError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def _lines(files: Iterable[str]) -> Iterator[str]:
    for name in files:
        shown = "standard input" if name == STDIN else name
        try:
            with _open(name) as file:
                yield from _lines_of(file, shown)
        except OSError as error:
            raise DataError(f"{shown}: expected a readable file, got {error.strerror}") from error


def _open(name: str) -> AbstractContextManager[BinaryIO]:
    if name != STDIN:
        return Path(name).open("rb")
    if sys.stdin is None:  # closed by the caller
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return nullcontext(sys.stdin.buffer)


def _lines_of(file: BinaryIO, shown: str) -> Iterator[str]:
    number = 0
    while raw := file.readline(_MAX_BYTES):
        number += 1
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) == _MAX_BYTES and not raw.endswith(b"\n"):
            raise DataError(_over_the_cap(shown, number, f"{_MAX_BYTES} bytes or more"))
        try:
            line = raw.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{shown}:{number}: expected UTF-8, got byte {error.start} that is not"
            ) from error
        if len(line) > MAX_CHARS:
            raise DataError(_over_the_cap(shown, number, str(len(line))))
        yield line


def _over_the_cap(shown: str, number: int, got: str) -> str:
    return f"{shown}:{number}: expected at most {MAX_CHARS} characters, got {got}; split the line"
