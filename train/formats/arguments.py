"""Owns the flags by which commands read and write files of any format."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from train.corpus.label_map import parse_label_map
from train.flags.numbers import at_least
from train.formats.flat import Overlaps, Reading
from train.formats.registry import FORMATS
from train.formats.schemes import Scheme
from train.formats.words import Words, Writing


def add_reading(parser: argparse._ActionsContainer) -> None:
    """Add what says how files are read."""
    add = parser.add_argument
    text = f"of the files read: {', '.join(FORMATS)} (found out by name and content)"
    add("--format", choices=FORMATS, metavar="NAME", help=text)
    text = "keep the first N names of labels like A/B/C, 0 for all (1 for maintie, else all)"
    add("--label-level", type=at_least(0), metavar="N", help=text)
    text = "of spans that overlap keep the longest, or refuse (longest for maintie, else refuse)"
    add("--overlaps", type=Overlaps, choices=list(Overlaps), metavar="RULE", help=text)


def add_mapped_reading(parser: argparse._ActionsContainer) -> None:
    """Add what says how files are read, and how their labels are mapped."""
    add_reading(parser)
    text = "Old=New,Drop= merges and drops labels; or a file with one such pair a line"
    parser.add_argument("--label-map", type=_label_map, default=(), metavar="MAP", help=text)


def take_reading(values: dict[str, Any]) -> Reading:
    """Take what `add_reading` or `add_mapped_reading` added out of parsed values."""
    return Reading(**{f.name: values.pop(f.name) for f in fields(Reading) if f.name in values})


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add what says how words are cut and tagged in formats that have words."""
    add, default = parser.add_argument, Writing()
    text = "words end at blanks, or at punctuation too, for conll and maintie (blanks)"
    add("--words", type=Words, choices=list(Words), default=default.words, metavar="AT", help=text)
    text = f"tags of conll: {', '.join(Scheme)} ({default.scheme})"
    add(
        "--scheme", type=Scheme, choices=list(Scheme), default=default.scheme, metavar="S",
        help=text,
    )  # fmt: skip
    text = "widen spans that begin or end inside a word to the whole word, the first in it stays"
    add("--widen", action="store_true", help=text)


def take_writing(values: dict[str, Any]) -> Writing:
    """Take what `add_writing` added out of parsed values."""
    return Writing(**{name: values.pop(name) for name in ("words", "scheme", "widen")})


def _label_map(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return parse_label_map(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
