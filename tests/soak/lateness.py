"""Owns how late this machine is by itself: what bounds on time have to allow on a busy one.

A thread sleeps 5 ms again and again; whatever it oversleeps, nobody's code is to blame for but the
machine, its other users, and the test's own threads. A server that dawdles does not make it late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_NAP_S = 0.005
MOST_S = 0.2
"""A machine that is later than this is too busy for bounds on time; so is the test to blame if it
keeps the interpreter to itself for as long."""
HALT_S = 0.050
"""From here on the machine stood still, and did not only have much to do."""


@dataclass(slots=True)
class Lateness:
    """How late the machine was.

    Attributes:
        worst_s: Longest that the thread overslept, in seconds.
        halts: When the machine stood still, by the monotonic clock, and for how long.
    """

    worst_s: float = 0.0
    halts: list[tuple[float, float]] = field(default_factory=list)

    def take(self, began: float, late_s: float) -> None:
        """Take one nap: when it should have been over, and how much later it was."""
        self.worst_s = max(self.worst_s, late_s)
        if late_s >= HALT_S:
            self.halts.append((began, late_s))

    @property
    def allowed_s(self) -> float:
        """Return what a bound on time has to allow."""
        return min(self.worst_s, MOST_S)

    def halted_s(self, start: float, end: float) -> float:
        """Return how long the machine stood still between two readings of the clock."""
        return sum(
            max(0.0, min(end, began + late_s) - max(start, began)) for began, late_s in self.halts
        )


@contextmanager
def watching() -> Iterator[Lateness]:
    """Watch how late the machine is in the block."""
    late, is_over = Lateness(), threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            time.sleep(_NAP_S)
            late.take(began + _NAP_S, time.monotonic() - began - _NAP_S)

    thread = threading.Thread(target=watch, name="lateness")
    thread.start()
    try:
        yield late
    finally:
        is_over.set()
        thread.join()
