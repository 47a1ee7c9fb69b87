"""Owns the choice, made again and again while serving, of the quicker of two ways to run a line.

A single line can use one thread or several. Several are quicker only while the cores stand close
together: a virtual machine's move about, and between far ones every hand-over costs 340 ns instead
of 50 or 190 (two cores of a Zen 5; MiniLM in INT8, 8 tokens: 0.56 ms on two threads then, 0.35
before, and 0.41 on one at all times). No measurement made once can know; so the other way is tried
on a few lines now and then, and soon after the usual one has become slower; it is taken when it
was quicker. Both must give the same answers.
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

TRIAL_CALLS = 10
WAKING_CALLS = 4
"""Calls at a trial's start that do not count: threads wake, and weights come into the caches."""
FIRST_TRIAL, TRIAL_EVERY = 32, 256
"""Calls before the end of the first trial and between two: the slower way costs a sixtieth."""
FALLEN_BEHIND = 1.35
"""Times the best pace since the last trial: at that the next one ends `FIRST_TRIAL` calls later."""
MARGIN = 0.95
"""The other way must take less than this share of the usual time: less is noise."""
_PACE_WEIGHT, _LENGTH_WEIGHT = 1 / 8, 1 / 32  # of the newest call
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
    """What is known of the lengths of one octave: what each takes, and how that changes for all."""

    def __init__(self) -> None:
        self.way = 0
        self._calls_left = FIRST_TRIAL
        self._length_s: dict[int, float] = {}  # at a pace of 1, which each trial begins anew from
        self._pace = self._best_pace = 1.0
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
        ratio = seconds / (self._pace * self._length_s.setdefault(length, seconds / self._pace))
        if trial:
            self._judge(ratio)
        else:
            self._follow(length, min(ratio, _SPIKE) - 1)

    def _follow(self, length: int, change: float) -> None:
        self._pace *= 1 + _PACE_WEIGHT * change
        self._length_s[length] *= 1 + _LENGTH_WEIGHT * change
        self._best_pace = min(self._pace, self._best_pace)
        is_long_ago = self._calls_left < TRIAL_EVERY - FIRST_TRIAL
        if is_long_ago and self._pace > FALLEN_BEHIND * self._best_pace:
            self._calls_left = min(self._calls_left, FIRST_TRIAL)

    def _judge(self, ratio: float) -> None:
        self._ratios.append(ratio)
        if len(self._ratios) < TRIAL_CALLS:
            return
        ratio = median(self._ratios[WAKING_CALLS:])
        self._ratios.clear()
        if ratio < MARGIN:
            self.way = 1 - self.way
            self._pace *= ratio
        # The pace goes into the lengths: what rises in both but falls in one would end at 0.
        self._length_s = {length: self._pace * s for length, s in self._length_s.items()}
        self._pace = self._best_pace = 1.0
