"""Owns asking: callers in threads, in a closed loop or by a schedule drawn beforehand.

An open loop's schedule is fixed before it starts. Each of a number of threads takes the next
arrival, sleeps until it is due and makes the call; while fewer calls are under way than there are
threads, every call is made on time, and one that is made late has its latency counted from when it
was due all the same. Knows nothing of servers: what is asked is a function of texts.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from benchmarks.load.calls import Call, Closed, Open
from benchmarks.timing import take

Ask = Callable[[Sequence[str]], object]

OPEN_THREADS = 64
"""Twice what the client lets through to a server at once."""
SWITCH_INTERVAL_S = 5e-4
"""Of Python's threads: with its 5 ms, one that reads an answer would hold up all that are due."""


def run_load(
    load: Closed | Open, ask: Ask, lines: Sequence[str], *, seconds: float, seed: int
) -> tuple[Call, ...]:
    """Put a system under a load and return the calls.

    Args:
        load: The load.
        ask: Takes texts and returns when they are answered; several threads call it at once.
        lines: Texts to ask about, in turn.
        seconds: How long calls are made; those under way then are waited for.
        seed: Of the arrivals, and of the line to begin with.
    """
    with _nimble_threads():
        if isinstance(load, Closed):
            return closed_loop(load, ask, lines, seconds=seconds, seed=seed)
        due_s = arrivals(load.calls_per_s, seconds, seed=seed)
        return open_loop(due_s, ask, lines, seed=seed)


def closed_loop(
    load: Closed, ask: Ask, lines: Sequence[str], *, seconds: float, seed: int
) -> tuple[Call, ...]:
    """Return the calls of callers that ask again as soon as they are answered."""
    numbers = itertools.count(seed)  # a step of it is atomic

    def caller(start: float) -> list[Call]:
        calls = []
        while (now := time.perf_counter()) < start + seconds:
            texts = take(lines, next(numbers) * load.num_texts, load.num_texts)
            calls.append(_call(ask, texts, due=now, start=start))
        return calls

    return _together(caller, load.num_callers)


def open_loop(
    due_s: Sequence[float],
    ask: Ask,
    lines: Sequence[str],
    *,
    seed: int,
    num_threads: int = OPEN_THREADS,
) -> tuple[Call, ...]:
    """Return the calls that arrive at given times, each about one text."""
    numbers = iter(range(len(due_s)))  # as above

    def caller(start: float) -> list[Call]:
        calls = []
        for number in numbers:
            due = start + due_s[number]
            if (wait_s := due - time.perf_counter()) > 0:
                time.sleep(wait_s)
            calls.append(_call(ask, take(lines, seed + number, 1), due=due, start=start))
        return calls

    return _together(caller, num_threads)


def arrivals(calls_per_s: float, seconds: float, *, seed: int) -> list[float]:
    """Return the times of a Poisson process of a rate, up to an end."""
    random = np.random.default_rng(seed)
    times: list[float] = []
    now = 0.0
    while (now := now + random.exponential(1 / calls_per_s)) < seconds:
        times.append(now)
    return times


def _call(ask: Ask, texts: Sequence[str], *, due: float, start: float) -> Call:
    failure = None
    try:
        ask(texts)
    except Exception as error:  # whatever it is, it is counted, and the others go on
        failure = type(error).__name__
    return Call(round(due - start, 6), round(time.perf_counter() - due, 6), failure)


def _together(caller: Callable[[float], list[Call]], num_threads: int) -> tuple[Call, ...]:
    """Run callers side by side, from one start that all are told; return their calls as due."""
    started: list[float] = []
    # None begins while others are still made.
    barrier = threading.Barrier(num_threads, action=lambda: started.append(time.perf_counter()))

    def begin() -> list[Call]:
        barrier.wait()
        return caller(started[0])

    with ThreadPoolExecutor(num_threads) as pool:
        done = [pool.submit(begin) for _ in range(num_threads)]
        calls = [call for future in done for call in future.result()]
    return tuple(sorted(calls, key=lambda call: call.due_s))


@contextmanager
def _nimble_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
