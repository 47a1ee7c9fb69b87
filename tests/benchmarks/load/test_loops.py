"""Tests who asks what when: closed loops wait, open loops go by the clock whatever is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.load.calls import Call, Closed, Measured, Open
from benchmarks.load.loops import arrivals, open_loop, run_load

LINES = ["a", "b", "c", "d"]


class Counting:
    """Answers at once; notes what it was asked, and by how many at a time."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> None:
        with self._lock:
            self.asked.append(list(texts))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(0.005)
        with self._lock:
            self._at_once -= 1


@pytest.mark.parametrize(("num_callers", "num_texts"), [(1, 1), (3, 2)])
def test_a_closed_loop_has_a_call_of_each_caller_under_way(
    num_callers: int, num_texts: int
) -> None:
    ask = Counting()
    calls = run_load(Closed(num_callers, num_texts), ask, LINES, seconds=0.2, seed=0)
    assert ask.most_at_once == num_callers
    assert len(calls) == len(ask.asked) > num_callers
    assert [call.due_s for call in calls] == sorted(call.due_s for call in calls)
    assert calls[-1].due_s < 0.2
    assert all(call.failure is None and call.latency_s >= 0.005 for call in calls)
    lines = [line for texts in ask.asked for line in texts]
    assert {len(texts) for texts in ask.asked} == {num_texts}
    if num_callers == 1:
        assert lines == (LINES * len(lines))[: len(lines)]
    assert set(lines) == set(LINES)


def test_the_wait_for_a_slow_call_before_counts_as_latency() -> None:
    calls = open_loop(
        [0.0, 0.01, 0.02], lambda _: time.sleep(0.05), LINES, seed=0, num_threads=1
    )  # fmt: skip
    assert [call.due_s for call in calls] == [0.0, 0.01, 0.02]
    for number, call in enumerate(calls):
        assert call.latency_s >= 0.05 * (number + 1) - call.due_s


def test_no_call_is_made_before_it_is_due_and_all_are_made() -> None:
    asked: list[float] = []
    due_s = [0.02 * number for number in range(10)]
    start = time.perf_counter()
    calls = open_loop(due_s, lambda _: asked.append(time.perf_counter()), LINES, seed=0)
    assert [call.due_s for call in calls] == pytest.approx(due_s)
    for at, due in zip(sorted(asked), due_s, strict=True):
        assert at - start >= due


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    times = arrivals(1000.0, 20.0, seed=1)
    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert times[-1] < 20.0
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, rel=0.03)  # of an exponential
    assert np.exp(-1) == pytest.approx((gaps > gaps.mean()).mean(), rel=0.03)
    assert times == arrivals(1000.0, 20.0, seed=1)
    assert times[:5] != arrivals(1000.0, 20.0, seed=2)[:5]


def test_a_failure_is_counted_by_name_and_stops_nobody() -> None:
    numbers = iter(range(10_000))

    def ask(texts: Sequence[str]) -> None:
        time.sleep(0.001)
        if next(numbers) % 2:
            raise TimeoutError(texts)

    calls = run_load(Open(200.0), ask, LINES, seconds=0.2, seed=0)
    measured = Measured(system="x", load=Open(200.0), seconds=0.2, rounds=(calls,))
    assert measured.failures == {"TimeoutError": len(calls) // 2}
    assert len(measured.latency.samples_s[0]) == len(calls) - len(calls) // 2


def test_figures_follow_from_the_calls() -> None:
    rounds = (
        tuple(Call(0.1 * number, 0.1, None) for number in range(10)),
        (Call(0.0, 0.3, None), Call(0.5, 1.5, None), Call(0.6, 0.1, "Overloaded")),
    )
    measured = Measured(system="x", load=Closed(2, 8), seconds=1.0, rounds=rounds)
    assert measured.lines_per_s == pytest.approx(12 * 8 / (1.0 + 2.0))  # it lasted until the end
    assert measured.num_calls == 13
    assert measured.failures == {"Overloaded": 1}
    assert measured.latency.p50_s == pytest.approx((0.1 + 0.9) / 2)  # median of both rounds'


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (Closed(1), "1 caller x 1 line"),
        (Closed(32, 8), "32 callers x 8 lines"),
        (Open(1234.5), "1,234 arrivals/s"),
    ],
)
def test_loads_say_what_they_are(load: Closed | Open, text: str) -> None:
    assert str(load) == text
