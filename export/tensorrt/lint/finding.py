"""Owns what the lint says: one finding a line, in the words of every message here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a finding closes the gate."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
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


def error(rule: str, where: str, expected: str, found: str, remedy: str) -> Finding:
    """Return a finding that makes the graph not ready."""
    return Finding(
        severity=Severity.ERROR,
        rule=rule,
        where=where,
        expected=expected,
        found=found,
        remedy=remedy,
    )


def warning(rule: str, where: str, expected: str, found: str, remedy: str) -> Finding:
    """Return a finding the graph is ready in spite of."""
    return Finding(
        severity=Severity.WARNING,
        rule=rule,
        where=where,
        expected=expected,
        found=found,
        remedy=remedy,
    )
