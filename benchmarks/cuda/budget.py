"""Owns the time box: what does not fit is not measured, and says so.

A step that has begun is finished, so a run may take longer than its budget by its longest step.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.cuda.engine import NotMeasuredError


class Budget:
    """Seconds a run may take, counted from the making of this object."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start to count."""
        self._clock = clock
        self._start = clock()
        self.seconds = seconds

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._start

    def check(self) -> None:
        """Close once the time is up.

        Raises:
            NotMeasuredError: If nothing is left.
        """
        if self.spent_s >= self.seconds:
            raise NotMeasuredError(f"the time budget of {self.seconds:g} s was used up")
