"""Owns how systems are measured against each other: rounds, clock and statistics.

* Two scenarios, in MLPerf's words: *single-stream*, one caller sends one line at a time and waits
  for the answer; *offline*, all lines are given at once.
* A round measures every system in turn, on the same lines in the same order, so that whatever else
  the machine is doing falls on all of them. The order rotates from round to round.
* Each single-stream round takes the next lines of the set: lines vary and none is timed twice
  before all were. A few other lines, not timed, come before them, for the caches hold another
  system's weights by then.
* Rounds end at a minimum of rounds *and* of seconds.

Knows nothing of models: a system is anything that tags texts. One that runs in another process
reads the clock itself, there, with the functions of this module.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Protocol, runtime_checkable

import numpy as np
from tqdm import tqdm

from benchmarks.halting import awake
from serve.entities import AnyTagger

ROUND_LINES = 100
"""Lines a single-stream round takes."""
WARM_LINES = 8
MIN_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class LatencyStats:
    """Latencies of single lines.

    Attributes:
        samples_s: Latency of each line, round by round.
    """

    samples_s: tuple[tuple[float, ...], ...]

    @property
    def p50_s(self) -> float:
        """Median over the rounds of each round's median."""
        return median(median(samples) for samples in self.samples_s)

    @property
    def p90_s(self) -> float:
        """Latency that 90 % of all lines stay within."""
        return self._percentile(90)

    @property
    def p99_s(self) -> float:
        """Latency that 99 % of all lines stay within."""
        return self._percentile(99)

    def _percentile(self, percent: float) -> float:
        """Return a percentile over all rounds: a single round has too few lines for a tail."""
        return float(np.percentile(np.concatenate(self.samples_s), percent))


@dataclass(frozen=True, slots=True)
class Samples:
    """All that was measured of one system.

    Attributes:
        latency_s: Latency of each line in each single-stream round.
        offline_s: Seconds for all lines in each offline round.
    """

    latency_s: tuple[tuple[float, ...], ...]
    offline_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RoundOf:
    """What one round measured of one system; see `Samples`."""

    latency_s: tuple[float, ...]
    offline_s: float


@runtime_checkable
class SelfTimed(Protocol):
    """A system behind a pipe whose cost is not its own: it reads the clock where it runs."""

    def time_lines(self, lines: Sequence[str]) -> tuple[float, ...]:
        """Return the seconds each line takes by itself."""
        ...

    def time_all(self, lines: Sequence[str]) -> float:
        """Return the seconds all lines take together."""
        ...


def measure(systems: Sequence[AnyTagger], lines: Sequence[str], *, seconds: float) -> list[Samples]:
    """Measure systems side by side; each has tagged all lines before.

    Args:
        systems: What to measure.
        lines: The lines, in the order to take them.
        seconds: Least time to measure for.

    Returns:
        The samples of each system, in the order of the systems.
    """
    taken: list[list[RoundOf]] = [[] for _ in systems]
    for number in rounds(seconds):
        for index in rotated(len(systems), number):
            with awake(systems[index]):
                taken[index].append(_one_round(systems[index], lines, number))
    return [
        Samples(tuple(r.latency_s for r in system), tuple(r.offline_s for r in system))
        for system in taken
    ]


def rounds(seconds: float) -> Iterator[int]:
    """Yield the number of each round, for `MIN_ROUNDS` and `seconds` at least, and show a bar."""
    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} s {postfix}"
    bar = tqdm(total=seconds, desc="measuring", bar_format=form, disable=None)
    with frozen_set_up(), bar:
        start = time.perf_counter()
        number = 0
        while number < MIN_ROUNDS or time.perf_counter() - start < seconds:
            began = time.perf_counter()
            yield number
            number += 1
            bar.update(time.perf_counter() - began)


@contextmanager
def frozen_set_up() -> Iterator[None]:
    """Let nobody pay for the garbage collector's walks through the million objects of set-up."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def rotated(count: int, number: int) -> list[int]:
    """Return 0 to `count` - 1, beginning `number` places further on."""
    return [(number + place) % count for place in range(count)]


def take(lines: Sequence[str], first: int, count: int) -> list[str]:
    """Return lines from `first` on, beginning again after the last."""
    return [lines[(first + place) % len(lines)] for place in range(count)]


def time_lines(system: AnyTagger, lines: Sequence[str]) -> tuple[float, ...]:
    """Return the seconds each line takes by itself."""
    if isinstance(system, SelfTimed):
        return system.time_lines(lines)
    samples = []
    for line in lines:
        start = time.perf_counter()
        system.tag([line])
        samples.append(_since(start))
    return tuple(samples)


def time_all(system: AnyTagger, lines: Sequence[str]) -> float:
    """Return the seconds all lines take together."""
    if isinstance(system, SelfTimed):
        return system.time_all(lines)
    start = time.perf_counter()
    system.tag(lines)
    return _since(start)


def _one_round(system: AnyTagger, lines: Sequence[str], number: int) -> RoundOf:
    first, size = number * ROUND_LINES, min(ROUND_LINES, len(lines))
    time_lines(system, take(lines, first - WARM_LINES, WARM_LINES))
    return RoundOf(time_lines(system, take(lines, first, size)), time_all(system, lines))


def _since(start: float) -> float:
    """Return the seconds since a reading of the monotonic clock, whose unit is a nanosecond."""
    return round(time.perf_counter() - start, 9)
