"""Owns what renames, merges and drops labels: `Old=New,Drop=`, or a file of such lines."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from serve.data_file import numbered_lines
from serve.errors import DataError

BY_FILE = "with a file of lines Old=New, --label-map FILE"
"""How to map labels that a command line cannot: many, or with commas."""

logger = logging.getLogger(__name__)


def parse_label_map(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of old and new label; an empty new label drops the old one's spans.

    Args:
        text: `Old=New,Drop=`, or the name of a file with one such pair a line. Empty lines of a
            file and those that begin with # do not count, and its labels may hold commas. An old
            label may hold =.

    Raises:
        ValueError: If a part is not `Old=New` or `Old=`, an old label comes twice, or a new one is
            not printable; of a file, naming it and the line.
    """
    if "=" not in text and os.path.isfile(text):
        return _pairs(_lines(Path(text)))
    return _pairs(("", part.strip()) for part in text.split(",") if part.strip())


def _lines(path: Path) -> Iterable[tuple[str, str]]:
    try:
        for number, line in numbered_lines(path):
            if line.strip() and not line.startswith("#"):
                yield f"{path}:{number}: ", line.strip()
    except DataError as error:
        raise ValueError(error) from error


def _pairs(parts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for place, part in parts:
        old, sign, new = (piece.strip() for piece in part.rpartition("="))
        if not sign or not old:
            apart = "" if place else ", apart by commas, or the name of a file"
            raise ValueError(f"{place}expected Old=New or Old={apart}, got {part!r}")
        if old in pairs:
            raise ValueError(f"{place}expected each label once before the =, got {old!r} twice")
        if not new.isprintable():  # no tag can hold it
            raise ValueError(f"{place}expected a label of printable characters, got {new!r}")
        pairs[old] = new
    return tuple(pairs.items())


def check_label_map(label_map: Iterable[str], labels: Iterable[str]) -> None:
    """Refuse a map of labels that do not occur: a slip of the pen.

    Raises:
        DataError: Naming the first such label.
    """
    if words := _unmatched(label_map, labels):
        raise DataError(words)


def warn_of_label_map(label_map: Iterable[str], labels: Iterable[str]) -> None:
    """Warn of a map of labels that do not occur.

    For lines of a tagger that exists: a test file or a month need not have each stray label that
    train had, and of a slip of the pen the label it left behind is told, which the tagger lacks.
    """
    if words := _unmatched(label_map, labels):
        logger.warning("warning: %s", words)


def _unmatched(label_map: Iterable[str], labels: Iterable[str]) -> str:
    """Return in words the first label to map that does not occur; empty if all do."""
    have = set(labels)
    for old in label_map:
        if old not in have:
            names = ", ".join(sorted(have))
            return f"--label-map: expected a label of the data ({names}), got {old!r}"
    return ""
