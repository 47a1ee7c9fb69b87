"""Owns which replica may be restarted on purpose, and when: one at a time, while others serve."""

from __future__ import annotations

import math
from collections.abc import Mapping

from serve.supervisor.life import Life, Phase
from serve.supervisor.patience import Patience


class Rolling:
    """Who waits for a restart, and why. First come, first served."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: dict[int, tuple[str, float]] = {}

    def ask(self, number: int, reason: str, until: float = math.inf) -> None:
        """Put a replica at the end, unless it waits already; nobody wants it after a time."""
        self._waiting.setdefault(number, (reason, until))

    def next(
        self, lives: Mapping[int, Life], now: float, patience: Patience
    ) -> tuple[int, str] | None:
        """Return who is to be restarted now, with the reason; None while that must wait.

        A replica waits until all others have settled: whoever lost one server to a restart must
        find another. One that is down anyway is as good as restarted, and whoever asked and was
        told that it failed is not to find it restarted a day later.
        """
        for number, (_, until) in list(self._waiting.items()):
            if lives[number].phase not in (Phase.READY, Phase.DRAINING) or now > until:
                del self._waiting[number]
        for number in self._waiting:
            others = [life for other, life in lives.items() if other != number]
            if lives[number].is_settled(now, patience) and all(
                life.is_settled(now, patience) for life in others
            ):
                return number, self._waiting.pop(number)[0]
        return None
