"""Owns how a data file's lines are read: numbered, in UTF-8; and the JSON of one, if it is JSON.

Knows no format of labelled lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from serve.errors import DataError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number, from 1, and line of a data file, a byte order mark left out.

    Unlike `str.splitlines`, only line feeds and carriage returns end a line.

    Raises:
        DataError: If the file cannot be read, or a line is not UTF-8; naming file and line.
    """
    try:
        # Bytes that are not UTF-8 come as lone surrogates, so that their line is still known.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                _check_utf8(line, path, number)
                yield number, line
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror}") from error


def _check_utf8(line: str, path: Path, number: int) -> None:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        position = len(line[: error.start].encode())
        raise DataError(
            f"{path}:{number}: expected UTF-8, got byte {position} of the line that is not; "
            "convert the file"
        ) from error


def parse_json(line: str) -> object:
    """Return the value of a line of JSON.

    Raises:
        ValueError: If it is none, or an object in it has a name twice.
        RecursionError: If it is nested too deeply.
    """
    try:
        return json.loads(line, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"expected a JSON object on each line, got: {error.msg.removesuffix(' at')} "
            f"at character {error.pos}; write one object a line"
        ) from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object; of a name that comes twice the parser would keep the last alone.

    Raises:
        ValueError: If a name comes twice.
    """
    names: dict[str, object] = {}
    for name, value in pairs:
        if name in names:
            raise ValueError(f"expected each name once in an object, got {name!r:.80} twice")
        names[name] = value
    return names
