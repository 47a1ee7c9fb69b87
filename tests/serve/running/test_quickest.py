"""The quicker of two ways is found, followed when it changes, and judged by length."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from serve.encoding import EncodedBatch
from serve.running import quickest
from serve.running.quickest import (
    FIRST_TRIAL,
    TRIAL_CALLS,
    TRIAL_EVERY,
    WAKING_CALLS,
    QuickestBackend,
)


class Clock:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Timed:
    """Answers with its number, after as much time as a function of the length says."""

    def __init__(self, number: int, clock: Clock, per_token_s: float) -> None:
        self.per_token_s = per_token_s
        self.num_calls = 0
        self._number, self._clock = number, clock

    def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
        self.num_calls += 1
        self._clock.now_s += self.per_token_s * (8 + batch.input_ids.size)
        return np.full((*batch.input_ids.shape, 1), self._number, dtype=np.float32)


def batch(num_tokens: int) -> EncodedBatch:
    ids = np.ones((1, num_tokens), dtype=np.int64)
    return EncodedBatch(ids, ids)


def two_ways(first_s: float, second_s: float) -> tuple[Timed, Timed, QuickestBackend]:
    clock = Clock()
    ways = Timed(0, clock, first_s), Timed(1, clock, second_s)
    return *ways, QuickestBackend(*ways, clock=clock)


def run(backend: QuickestBackend, num_calls: int, lengths: range = range(9, 17)) -> None:
    chance = random.Random(num_calls)
    for _ in range(num_calls):
        backend.logits(batch(chance.choice(lengths)))


def test_the_first_way_is_usual_until_a_trial_was_won() -> None:
    _, second, backend = two_ways(2.0, 1.0)
    run(backend, FIRST_TRIAL - TRIAL_CALLS)
    assert (backend.way_of(12), second.num_calls) == (0, 0)
    run(backend, TRIAL_CALLS + 1)
    assert (backend.way_of(12), second.num_calls) == (1, TRIAL_CALLS + 1)


def test_a_slower_way_costs_its_trials_only() -> None:
    first, second, backend = two_ways(1.0, 1.4)
    run(backend, FIRST_TRIAL + 10 * TRIAL_EVERY)
    assert backend.way_of(12) == 0
    assert second.num_calls == 11 * TRIAL_CALLS
    assert first.num_calls == FIRST_TRIAL + 10 * TRIAL_EVERY - second.num_calls


def test_a_way_hardly_quicker_is_left_alone() -> None:
    _, _, backend = two_ways(1.0, 0.97)
    run(backend, 5 * TRIAL_EVERY)
    assert backend.way_of(12) == 0


def test_what_became_slower_is_left_and_taken_up_again() -> None:
    first, _, backend = two_ways(1.0, 1.3)
    ways = []
    for first.per_token_s in (1.0, 1.6, 1.0, 1.6):  # the cores move apart and together
        run(backend, 2 * TRIAL_EVERY)
        ways.append(backend.way_of(12))
    assert ways == [0, 1, 0, 1]


def test_what_becomes_slower_is_tried_against_the_other_soon() -> None:
    first, _, backend = two_ways(1.0, 1.3)
    run(backend, FIRST_TRIAL + TRIAL_EVERY // 4)
    first.per_token_s = 1.6
    run(backend, 2 * FIRST_TRIAL)
    assert backend.way_of(12) == 1


def test_what_becomes_slower_both_ways_costs_one_more_trial() -> None:
    first, second, backend = two_ways(1.0, 1.3)
    run(backend, FIRST_TRIAL + TRIAL_EVERY // 2)
    first.per_token_s, second.per_token_s = 1.6, 2.1  # the machine is slower, not the way
    run(backend, TRIAL_EVERY // 2)
    assert (backend.way_of(12), second.num_calls) == (0, 2 * TRIAL_CALLS)


def test_what_is_slower_than_at_its_best_since_the_last_trial_is_tried_soon() -> None:
    first, _, backend = two_ways(1.0, 0.97)  # not quicker by enough
    run(backend, FIRST_TRIAL)
    for first.per_token_s, num_calls in ((0.6, 40), (1.1, 2 * FIRST_TRIAL)):
        run(backend, num_calls)
    assert backend.way_of(12) == 1


def test_trials_take_a_sixth_of_the_calls_at_most() -> None:
    first, second, backend = two_ways(1.0, 1.3)
    for _ in range(10 * 2 * FIRST_TRIAL):
        run(backend, 1)
        for way in (first, second):
            way.per_token_s *= 1.02  # both become slower and slower
    assert second.num_calls <= 10 * TRIAL_CALLS


def test_calls_that_wake_the_other_way_do_not_count() -> None:
    clock = Clock()

    class Waking(Timed):
        def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
            self.per_token_s = [*[3.0] * WAKING_CALLS, 0.8, 0.8, 0.8, 0.8, 1.0, 1.0][self.num_calls]
            return super().logits(batch)

    backend = QuickestBackend(Timed(0, clock, 1.0), Waking(1, clock, 1.0), clock=clock)
    run(backend, FIRST_TRIAL)
    assert backend.way_of(12) == 1


def test_years_of_changes_leave_the_judgement_as_sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickest, "TRIAL_EVERY", 64)
    first, _, backend = two_ways(1.0, 1.3)
    for first.per_token_s in (1000.0, 1.0) * 1500:
        run(backend, 128, range(12, 13))
    assert backend.way_of(12) == 0
    first.per_token_s = 1.6
    run(backend, 128, range(12, 13))
    assert backend.way_of(12) == 1


def test_each_octave_of_lengths_is_judged_by_itself() -> None:
    clock = Clock()

    class Several(Timed):
        def logits(self, batch: EncodedBatch) -> NDArray[np.float32]:
            self.per_token_s = 1.4 if batch.input_ids.size <= 16 else 0.7
            return super().logits(batch)

    backend = QuickestBackend(Several(0, clock, 1.0), Timed(1, clock, 1.0), clock=clock)
    for lengths in (range(9, 17), range(33, 65)):
        run(backend, 2 * TRIAL_EVERY, lengths)
    assert [backend.way_of(length) for length in (9, 16, 33, 64, 200)] == [1, 1, 0, 0, 0]


def test_single_slow_calls_do_not_turn_the_judgement() -> None:
    first, _, backend = two_ways(1.0, 1.2)
    for call in range(8 * TRIAL_EVERY):
        first.per_token_s = 30.0 if call % 17 == 0 else 1.0  # somebody else had the core
        run(backend, 1)
    assert backend.way_of(12) == 0


def test_the_answer_is_that_of_the_way_taken() -> None:
    _, second, backend = two_ways(1.0, 0.5)
    for _ in itertools.repeat(None, 2 * FIRST_TRIAL):
        before = second.num_calls
        answer = backend.logits(batch(10))
        assert answer.shape == (1, 10, 1)
        assert answer[0, 0, 0] == second.num_calls - before
