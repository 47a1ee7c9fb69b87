"""Owns finding out which number of threads runs a graph fastest on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

from serve.backend import Backend
from serve.encoding import EncodedBatch
from serve.running.cores import num_cores
from serve.running.threads import Threads, default_num_threads

NUM_ROUNDS = 12
ROUND_RUNS = 15
MARGIN = 0.95
"""A choice must take less than this share of the default's time to replace it: less is noise."""


def candidates() -> list[Threads]:
    """Return the choices to measure, the default first."""
    most, default = num_cores(), default_num_threads()
    others = {1, 2, 4, most // 2, most} - {0, default}
    nums = [default, *sorted(num for num in others if num <= most)]
    # A lone thread waits for nobody.
    return [Threads(num, spin) for num in nums for spin in (True, False) if spin or num > 1]


def measure(
    make_backend: Callable[[Threads], Backend],
    choices: Sequence[Threads],
    batches: Sequence[EncodedBatch],
) -> dict[Threads, float]:
    """Return the median seconds of a batch for each choice, in interleaved rounds."""
    backends = {choice: make_backend(choice) for choice in choices}
    samples: dict[Threads, list[float]] = {choice: [] for choice in choices}
    for number in range(NUM_ROUNDS):
        for choice, backend in backends.items():
            for batch in batches:  # wakes the threads, and is not timed
                backend.logits(batch)
            for run in range(ROUND_RUNS):
                start = perf_counter()
                backend.logits(batches[(number + run) % len(batches)])
                samples[choice].append(perf_counter() - start)
    return {choice: median(times) for choice, times in samples.items()}


def best(seconds: dict[Threads, float]) -> Threads:
    """Return the fastest choice; the first, the default, unless one beats it by `MARGIN`."""
    default, fastest = next(iter(seconds)), min(seconds, key=seconds.__getitem__)
    return fastest if seconds[fastest] < MARGIN * seconds[default] else default
