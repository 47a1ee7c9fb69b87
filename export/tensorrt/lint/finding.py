"""Owns what the lint says: one finding a line, in the words of every message here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial


class Severity(StrEnum):
    """Whether a finding closes the gate."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as TensorRT needs or likes it.

    Attributes:
        severity: An error makes a graph not ready.
        rule: Which rule found it; stable, for machines.
        where: The node, tensor or file.
        expected: What should be there.
        found: What is there.
        remedy: What to do.
    """

    severity: Severity
    rule: str
    where: str
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        """Return the finding as a line."""
        return (
            f"{self.severity} {self.where}: expected {self.expected}, got {self.found}; "
            f"{self.remedy} [{self.rule}]"
        )


error = partial(Finding, Severity.ERROR)
"""A finding that makes the graph not ready; takes the other fields in order."""
warning = partial(Finding, Severity.WARNING)
"""A finding the graph is ready in spite of."""
