"""Owns whether a replica's work moves on: when each of its versions was last seen to run tokens."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    """What the versions of a replica have done, look by look.

    A version that hangs beside one that works is not moved on by the other's tokens.
    """

    def __init__(self) -> None:
        """Begin with no version."""
        self._tokens: Mapping[str, int] = {}
        self._moved: dict[str, float] = {}

    def note(self, tokens: Mapping[str, int], now: float) -> None:
        """Take how many tokens each version has run."""
        moved = {version for version, num in tokens.items() if self._tokens.get(version) != num}
        self._moved = {v: now if v in moved else self._moved[v] for v in tokens}
        self._tokens = tokens

    @property
    def moved(self) -> float:
        """When the version that has stood still for longest moved; 0 before the first look."""
        return min(self._moved.values(), default=0.0)
