"""Owns what a load test asks for and what it gets: loads, calls and the figures drawn from them.

A call's latency counts from when it was due. In a closed loop that is when its caller made it; in
an open loop it is its arrival, drawn beforehand: a call that had to wait because all before it were
slow has waited, whoever made it wait ("coordinated omission" leaves that out).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.timing import LatencyStats


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed loop: callers that each wait for an answer before they ask again.

    Attributes:
        num_callers: How many.
        num_texts: Texts of each call.
    """

    num_callers: int
    num_texts: int = 1

    def __str__(self) -> str:
        """Return it as tables have it."""
        callers = f"{self.num_callers} caller{'s' if self.num_callers > 1 else ''}"
        return f"{callers} x {self.num_texts} line{'s' if self.num_texts > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Open:
    """An open loop: calls of one text arrive at random, whether others were answered or not.

    Attributes:
        calls_per_s: Mean rate of a Poisson process.
    """

    calls_per_s: float

    @property
    def num_texts(self) -> int:
        """Texts of each call."""
        return 1

    def __str__(self) -> str:
        """Return it as tables have it."""
        return f"{self.calls_per_s:,.0f} arrivals/s"


class Call(NamedTuple):
    """One call.

    Attributes:
        due_s: When it was due, since the start of its round.
        latency_s: From then until it was answered or failed.
        failure: Name of the error it ended with; None for an answer.
    """

    due_s: float
    latency_s: float
    failure: str | None

    @property
    def end_s(self) -> float:
        """When it ended, since the start of its round."""
        return self.due_s + self.latency_s


Rounds = tuple[tuple[Call, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one system did under one load.

    Attributes:
        system: Its name.
        load: The load.
        seconds: Length of each round.
        rounds: The calls of each round; each round has an answer at least.
    """

    system: str
    load: Closed | Open
    seconds: float
    rounds: Rounds

    @property
    def latency(self) -> LatencyStats:
        """Latencies of the calls that were answered."""
        return LatencyStats(tuple(answered(calls) for calls in self.rounds))

    @property
    def lines_per_s(self) -> float:
        """Lines answered per second, from the start of each round to its last answer."""
        num_calls = sum(len(answered(calls)) for calls in self.rounds)
        lasted_s = sum(max(self.seconds, *(call.end_s for call in calls)) for calls in self.rounds)
        return num_calls * self.load.num_texts / lasted_s

    @property
    def failures(self) -> Counter[str]:
        """Calls that failed, by the name of the error."""
        return Counter(call.failure for calls in self.rounds for call in calls if call.failure)

    @property
    def num_calls(self) -> int:
        """All calls, answered or not."""
        return sum(map(len, self.rounds))


def answered(calls: Sequence[Call]) -> tuple[float, ...]:
    """Return the latency of each call that was answered."""
    return tuple(call.latency_s for call in calls if call.failure is None)
