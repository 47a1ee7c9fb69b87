"""Owns what is measured, in which order: every system under every load, in turn, round by round.

Closed loops come first. A server's rate with 32 callers of one line is its *capacity* here, and the
open loops ask for shares of it, up to more than it can do. The embedded runtime is given all lines
at once, which is *offline*. Before each round a short one that does not count wakes the system up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.halting import awake
from benchmarks.load.calls import Call, Closed, Measured, Open, answered
from benchmarks.load.loops import run_load
from benchmarks.systems import System
from benchmarks.timing import rotated
from serve.errors import ServerError

CLOSED = tuple(Closed(callers, texts) for texts in (1, 32) for callers in (1, 8, 32))
CAPACITY = Closed(32, 1)
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
"""Of the capacity, that open loops ask for."""
WARM_SHARE = 0.25
"""Length of the round that does not count, as a share of one that does."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A system and the loads it is put under.

    Attributes:
        system: Several threads may ask it at once.
        loads: Each once a round.
    """

    system: System
    loads: Sequence[Closed | Open] = CLOSED

    @property
    def name(self) -> str:
        """The system's."""
        return self.system.facts.name


def measure(
    subjects: Sequence[Subject],
    lines: Sequence[str],
    *,
    seconds: float,
    num_rounds: int,
    on_round: Callable[[], object] = lambda: None,
) -> list[Measured]:
    """Measure systems side by side, first in closed loops, then servers in open ones.

    Args:
        subjects: What to measure.
        lines: The lines, in the order to take them.
        seconds: Length of a round.
        num_rounds: Rounds of each system under each load.
        on_round: Called after each round.

    Raises:
        ServerError: If a system answers nothing at all.
    """
    closed = _rounds(subjects, lines, seconds, num_rounds, on_round)
    capacity = {each.system: each.lines_per_s for each in closed if each.load == CAPACITY}
    servers = [
        Subject(subject.system, shares_of(capacity[subject.name]))
        for subject in subjects
        if subject.name in capacity
    ]
    return closed + _rounds(servers, lines, seconds, num_rounds, on_round)


def shares_of(lines_per_s: float) -> tuple[Open, ...]:
    """Return the open loops for a capacity."""
    return tuple(Open(float(f"{share * lines_per_s:.3g}")) for share in SHARES)


def num_steps(subjects: Sequence[Subject], num_rounds: int) -> int:
    """Return how many rounds `measure` takes altogether."""
    num_open = len(SHARES) * sum(CAPACITY in subject.loads for subject in subjects)
    return num_rounds * (sum(len(subject.loads) for subject in subjects) + num_open)


def _rounds(
    subjects: Sequence[Subject],
    lines: Sequence[str],
    seconds: float,
    num_rounds: int,
    on_round: Callable[[], object],
) -> list[Measured]:
    calls: dict[tuple[str, Closed | Open], list[tuple[Call, ...]]] = defaultdict(list)
    for number in range(num_rounds):
        for index in rotated(len(subjects), number):
            subject = subjects[index]
            with awake(subject.system):
                for load in subject.loads:
                    got = _one_round(subject.system, load, lines, seconds, seed=number)
                    calls[subject.name, load].append(got)
                    on_round()
    return [
        Measured(system=s.name, load=load, seconds=seconds, rounds=tuple(calls[s.name, load]))
        for s in subjects
        for load in s.loads
    ]


def _one_round(
    system: System, load: Closed | Open, lines: Sequence[str], seconds: float, *, seed: int
) -> tuple[Call, ...]:
    run_load(load, system.tag, lines, seconds=WARM_SHARE * seconds, seed=seed + 1000)
    calls = run_load(load, system.tag, lines, seconds=seconds, seed=seed)
    if not answered(calls):
        failures = sorted({str(call.failure) for call in calls}) or "no call"
        raise ServerError(
            f"{system.facts.name}: expected answers under {load}, got none in {seconds:g} s but "
            f"{failures}; measure for longer with --seconds"
        )
    return calls
