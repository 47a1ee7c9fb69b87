"""The statistics of the benchmark on samples whose figures are known, and its rounds."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import pytest

from benchmarks.timing import (
    MIN_ROUNDS,
    ROUND_LINES,
    WARM_LINES,
    LatencyStats,
    measure,
    rotated,
    take,
    time_all,
    time_lines,
)
from serve.entities import Entity


def test_p50_is_the_median_of_the_rounds_medians() -> None:
    stats = LatencyStats(((1.0, 2.0, 9.0), (4.0, 5.0, 6.0), (3.0, 3.0, 100.0)))
    assert stats.p50_s == 3.0


def test_one_disturbed_round_does_not_move_p50() -> None:
    quiet = (1.0, 2.0, 3.0)
    assert LatencyStats((quiet, quiet, (100.0, 200.0, 300.0))).p50_s == 2.0


def test_the_tail_is_that_of_all_rounds_together() -> None:
    stats = LatencyStats((tuple(map(float, range(50))), tuple(map(float, range(50, 101)))))
    assert stats.p90_s == pytest.approx(90.0)
    assert stats.p99_s == pytest.approx(99.0)


def test_rounds_may_have_different_numbers_of_lines() -> None:
    stats = LatencyStats(((1.0,), (2.0, 4.0)))
    assert stats.p50_s == 2.0
    assert stats.p99_s == pytest.approx(3.96)


class Recorder:
    """A system that notes what it is asked."""

    def __init__(self, name: str, log: list[tuple[str, tuple[str, ...]]]) -> None:
        self._name = name
        self._log = log

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        self._log.append((self._name, tuple(texts)))
        return [[] for _ in texts]


@pytest.fixture
def log() -> list[tuple[str, tuple[str, ...]]]:
    return []


def run(log: list[tuple[str, tuple[str, ...]]], *, num_lines: int, seconds: float = 0.0) -> int:
    """Measure two recorders; return the number of rounds."""
    systems = [Recorder("a", log), Recorder("b", log)]
    lines = [f"line {number}" for number in range(num_lines)]
    samples = measure(systems, lines, seconds=seconds)
    counts = {len(rounds) for each in samples for rounds in (each.latency_s, each.offline_s)}
    (num_rounds,) = counts
    return num_rounds


def test_there_is_a_minimum_of_rounds_and_of_seconds(
    log: list[tuple[str, tuple[str, ...]]],
) -> None:
    assert run(log, num_lines=1) == MIN_ROUNDS
    assert run(log, num_lines=1, seconds=0.3) > MIN_ROUNDS


def test_each_system_gets_the_same_lines_in_the_same_order(
    log: list[tuple[str, tuple[str, ...]]],
) -> None:
    run(log, num_lines=3 * ROUND_LINES)
    of = {name: [texts for who, texts in log if who == name] for name in "ab"}
    assert of["a"] == of["b"]
    per_round = WARM_LINES + ROUND_LINES + 1
    assert len(of["a"]) == MIN_ROUNDS * per_round
    timed = [of["a"][r * per_round :][WARM_LINES:-1][:ROUND_LINES] for r in range(MIN_ROUNDS)]
    singles = [texts for part in timed for texts in part]
    assert len(set(singles)) == 3 * ROUND_LINES, "a line was timed twice before all were timed"


def test_the_lines_before_a_round_are_not_those_of_the_round(
    log: list[tuple[str, tuple[str, ...]]],
) -> None:
    run(log, num_lines=2 * ROUND_LINES)
    warm, timed = log[:WARM_LINES], log[WARM_LINES : WARM_LINES + ROUND_LINES]
    assert not set(warm) & set(timed)


def test_the_garbage_collector_does_not_walk_through_what_set_up_made() -> None:
    frozen: list[int] = []

    class Looking(Recorder):
        def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
            frozen.append(gc.get_freeze_count() if not frozen else 0)
            return super().tag(texts)

    measure([Looking("a", [])], ["line"], seconds=0.0)
    assert frozen[0] > 0
    assert gc.get_freeze_count() == 0


def test_the_order_of_systems_rotates(log: list[tuple[str, tuple[str, ...]]]) -> None:
    run(log, num_lines=1)
    turns = [who for who, _ in log]
    order = [a for a, b in zip(turns, ["", *turns], strict=False) if a != b]
    assert order == ["a", "b", "a", "b"]  # a b, b a, a b: neighbours of one name show once
    assert rotated(3, 4) == [1, 2, 0]


def test_few_lines_are_taken_again() -> None:
    assert take(["x", "y", "z"], 2, 4) == ["z", "x", "y", "z"]
    assert take(["x", "y"], -1, 2) == ["y", "x"]


class Clock:
    """A system in another process: it says itself how long it took."""

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        raise AssertionError("expected to be asked for times only")

    def time_lines(self, lines: Sequence[str]) -> tuple[float, ...]:
        return (7.0,) * len(lines)

    def time_all(self, lines: Sequence[str]) -> float:
        return 0.5 * len(lines)


def test_a_system_that_times_itself_is_believed() -> None:
    (samples,) = measure([Clock()], ["x", "y"], seconds=0.0)
    assert samples.latency_s == ((7.0, 7.0),) * MIN_ROUNDS
    assert samples.offline_s == (1.0,) * MIN_ROUNDS


class Slow:
    """A system for whose every line a clock goes on by as many seconds as the line says."""

    now_s = 1000.0

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        self.now_s += sum(map(float, texts))
        return [[] for _ in texts]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Return a system that alone moves the clock."""
    system = Slow()
    monkeypatch.setattr("benchmarks.timing.time.perf_counter", lambda: system.now_s)
    return system


def test_a_lines_latency_is_its_own_and_not_of_those_before_it(slow: Slow) -> None:
    assert time_lines(slow, ["0.5", "2", "0.25"]) == (0.5, 2.0, 0.25)


def test_the_clock_of_all_lines_runs_while_they_are_tagged(slow: Slow) -> None:
    assert time_all(slow, ["0.5", "2", "0.25"]) == 2.75


def test_a_round_is_timed_line_by_line_and_whole_without_the_lines_before_it(slow: Slow) -> None:
    (samples,) = measure([slow], ["0.5", "2"], seconds=0.0)
    assert samples.latency_s == ((0.5, 2.0),) * MIN_ROUNDS
    assert samples.offline_s == (2.5,) * MIN_ROUNDS
