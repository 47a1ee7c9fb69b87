"""Owns the clock: engines are measured in turn, in rounds, after a warm-up, until enough is known.

Every sample is one step: what must be ready for it is made ready off the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.timing import rotated

WARM_STEPS = 4  # a compiled engine records its CUDA graph on the second or third run of a shape
NUM_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to time.

    Attributes:
        prepare: What comes before, off the clock.
        run: What is timed.
    """

    prepare: Callable[[], object]
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a round has enough samples: at its seconds, with the least and the most steps.

    Attributes:
        least: Fewest steps in a round.
        most: Most steps in a round.
        seconds: Time of a round.
    """

    least: int = 5
    most: int = 60
    seconds: float = 0.1


def warm_up(steps: Sequence[Step]) -> None:
    """Go through every step once, and through few of them several times."""
    for number in range(max(WARM_STEPS, len(steps))):
        _timed(steps[number % len(steps)])


def sample(engines: Sequence[Sequence[Step]], limits: Limits) -> list[tuple[float, ...]]:
    """Return the seconds of each timed step of each engine, all warm.

    Args:
        engines: For each engine the steps to go through, beginning again after the last.
        limits: When a round ends.
    """
    samples: list[list[float]] = [[] for _ in engines]
    for number in range(NUM_ROUNDS):
        for index in rotated(len(engines), number):
            samples[index] += _round(engines[index], limits, len(samples[index]))
    return [tuple(seconds) for seconds in samples]


def _round(steps: Sequence[Step], limits: Limits, first: int) -> list[float]:
    taken: list[float] = []
    while len(taken) < limits.least or (len(taken) < limits.most and sum(taken) < limits.seconds):
        taken.append(_timed(steps[(first + len(taken)) % len(steps)]))
    return taken


def _timed(step: Step) -> float:
    step.prepare()
    start = time.perf_counter()
    step.run()
    return round(time.perf_counter() - start, 7)
