"""Owns what a verification says: one finding a line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """Which check found something; stable, for machines."""

    MANIFEST = "manifest"
    SIGNATURE = "signature"
    FILES = "files"
    LABELS = "labels"
    TOKENIZER = "tokenizer"
    GRAPH = "graph"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a bundle that is not as its manifest says, or as the runtime needs it.

    Attributes:
        check: What was checked.
        message: The file, what was expected, what was found, and the remedy; one line.
    """

    check: Check
    message: str

    def __str__(self) -> str:
        """Return the finding as a line."""
        return f"{self.check}: {self.message}"
