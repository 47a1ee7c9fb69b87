"""Owns how many small things are timed side by side: rounds, warm calls, repeats.

Every round runs every group; within a group its runners take turns, their order rotating from
round to round, so that what else the machine does falls on all that are compared. Calls that are
not timed, at least one and `WARM_S` long, bring a runner's weights back into the caches, and let
the threads of the runner before, which spin for a while, come to rest. Then it is timed as often as
fits into `TURN_S`, up to `MAX_CALLS`. Rounds end at a minimum of rounds *and* of seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.timing import rotated, rounds

WARM_S = 0.03
TURN_S = 0.05
MAX_CALLS = 10

Runners = Mapping[str, Callable[[], object]]
"""What to call, by name."""


def measure_groups(
    groups: Sequence[Runners], *, seconds: float
) -> list[dict[str, tuple[tuple[float, ...], ...]]]:
    """Time groups of runners.

    Args:
        groups: What is compared with each other: what to call, by name.
        seconds: Least time to measure for.

    Returns:
        For each group and name, the seconds of each call of each round.
    """
    samples: list[dict[str, list[tuple[float, ...]]]] = [{n: [] for n in g} for g in groups]
    for number in rounds(seconds):
        for runners, taken in zip(groups, samples, strict=True):
            names = list(runners)
            for place in rotated(len(names), number):
                taken[names[place]].append(time_calls(runners[names[place]]))
    return [{name: tuple(calls) for name, calls in taken.items()} for taken in samples]


def time_calls(call: Callable[[], object]) -> tuple[float, ...]:
    """Return the seconds of each of 1 to `MAX_CALLS` calls, after some that warm up."""
    began = time.perf_counter()
    warm_s = _seconds_of(call)
    while time.perf_counter() - began < WARM_S:
        warm_s = _seconds_of(call)
    num_calls = min(MAX_CALLS, max(1, int(TURN_S / max(warm_s, 1e-9))))
    return tuple(_seconds_of(call) for _ in range(num_calls))


def _seconds_of(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return round(time.perf_counter() - start, 9)
