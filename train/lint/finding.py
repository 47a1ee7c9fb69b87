"""Owns what a lint can find: its rules, how grave each is, and the value of one finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """What a finding is about, in the order of a report."""

    UNREADABLE = "unreadable"
    TEXT = "text"
    OUTSIDE = "outside"
    OVERLAP = "overlap"
    BLANK = "blank"
    BORDER = "border"
    SCHEME = "scheme"
    BARE = "bare"
    UNKNOWN = "unknown"
    LEAK = "leak"
    CONFLICT = "conflict"
    RARE = "rare"


MEANING = {
    Rule.UNREADABLE: "cannot be read in the file's format",
    Rule.TEXT: "texts that cannot be tagged",
    Rule.OUTSIDE: "spans that are empty or leave their text",
    Rule.OVERLAP: "spans that overlap another; a tagger gives each word one tag",
    Rule.BLANK: "spans that begin or end with a blank; no word does, so they count as missed",
    Rule.BORDER: "spans that begin or end inside a word, so that they count as missed",
    Rule.SCHEME: "tags that break the file's scheme",
    Rule.BARE: "parts without a labelled span, of which train and dev need some",
    Rule.UNKNOWN: "labels that train has not, so that they cannot be learnt",
    Rule.LEAK: "texts of one part that another has too, so that figures come out too good",
    Rule.CONFLICT: "texts that are labelled otherwise elsewhere, or by another annotation",
    Rule.RARE: "labels with too few spans in train to be learnt well",
}


class Severity(StrEnum):
    """Whether a finding has to be mended."""

    ERROR = "error"
    WARNING = "warning"


_WARNINGS = frozenset({Rule.LEAK, Rule.CONFLICT, Rule.RARE})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: What it is about.
        place: File and line, or file and JSON path.
        message: What was expected and found.
        severity: Whether it has to be mended.
    """

    rule: Rule
    place: str
    message: str
    severity: Severity


def finding(rule: Rule, place: str, message: str, *, is_error: bool | None = None) -> Finding:
    """Return a finding, as grave as its rule unless told."""
    grave = rule not in _WARNINGS if is_error is None else is_error
    return Finding(rule, place, message, Severity.ERROR if grave else Severity.WARNING)
