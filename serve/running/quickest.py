"""Owns the choice, made again and again while serving, of the quicker of two ways to run a line.

A single line can use one thread or several. Several are quicker only while the cores stand close
together: a virtual machine's move about, and between far ones every hand-over costs 340 ns instead
of 50 or 190 (two cores of a Zen 5; MiniLM in INT8, 8 tokens: 0.56 ms on two threads then, 0.35
before, and 0.41 on one at all times). No measurement made once can know; so the other way is tried
on a few lines now and then, and taken when it was quicker. Both must give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from threading import Lock
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from serve.backend import Backend
from serve.encoding import EncodedBatch

TRIAL_CALLS = 8
WAKING_CALLS = 2
"""Calls at a trial's start that do not count: they wake threads that have gone to sleep."""
FIRST_TRIAL, TRIAL_EVERY = 32, 256
"""Calls before the first trial and between two: trying the slower way costs a hundredth."""
MARGIN = 0.95
"""The other way must take less than this share of the usual time: less is noise."""
_WEIGHT = 1 / 8  # of the newest call in the usual time
_SPIKE = 2.0  # times the usual, at most, that a call counts: whatever else happened is not its cost


class QuickestBackend:
    """Two backends of the same answers; each call goes to the one that is quicker these days.

    Lengths of one octave (9 to 16 tokens, say) are judged together, others by themselves: long
    texts feed several threads at any distance.
    """

    def __init__(
        self, usual: Backend, other: Backend, *, clock: Callable[[], float] = perf_counter
    ) -> None:
        """Take both ways, to begin with the first, and a clock that counts seconds."""
        self._ways = usual, other
        self._clock = clock
        self._octaves: dict[int, _Octave] = {}
        self._lock = Lock()

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        """Return a score for each token and tag. Shape: (B, T, L)."""
        length = batch.input_ids.size
        with self._lock:
            octave = self._octaves.setdefault((length - 1).bit_length(), _Octave())
            way, trial = octave.next_way()
        start = self._clock()
        logits = self._ways[way].logits(batch)
        seconds = self._clock() - start
        with self._lock:
            octave.take(length, seconds, trial=trial)
        return logits

    def way_of(self, length: int) -> int:
        """Return which way a batch of so many tokens goes at present: 0 or 1."""
        octave = self._octaves.get((length - 1).bit_length())
        return octave.way if octave else 0


class _Octave:
    """What is known of the lengths of one octave."""

    def __init__(self) -> None:
        self.way = 0
        self._calls_left = FIRST_TRIAL
        self._usual_s: dict[int, float] = {}
        self._ratios: list[float] = []

    def next_way(self) -> tuple[int, bool]:
        """Return the way of the next call, and whether it is a trial."""
        self._calls_left -= 1
        trial = self._calls_left < TRIAL_CALLS
        if self._calls_left <= 0:
            self._calls_left = TRIAL_EVERY
        return (1 - self.way if trial else self.way), trial

    def take(self, length: int, seconds: float, *, trial: bool) -> None:
        """Take what a call took; after a trial's last, take the quicker way."""
        usual = self._usual_s.get(length, seconds)
        if not trial:
            self._usual_s[length] = usual + _WEIGHT * (min(seconds, _SPIKE * usual) - usual)
            return
        self._ratios.append(seconds / usual)
        if len(self._ratios) == TRIAL_CALLS:
            ratio = median(self._ratios[WAKING_CALLS:])
            self._ratios.clear()
            if ratio < MARGIN:
                self.way = 1 - self.way
                self._usual_s = {length: ratio * s for length, s in self._usual_s.items()}
