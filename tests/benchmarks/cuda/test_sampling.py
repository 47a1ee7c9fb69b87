"""The clock, the time box and the texts: what is pure of the GPU benchmark."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.cuda.budget import Budget
from benchmarks.cuda.engine import NotMeasuredError
from benchmarks.cuda.sampling import NUM_ROUNDS, WARM_STEPS, Limits, Step, sample, warm_up
from benchmarks.texts import passage_lengths, random_batch, texts_of, uniform_lengths


def logging_steps(log: list[str], names: str) -> list[Step]:
    def note(text: str) -> Callable[[], None]:
        return lambda: log.append(text)

    return [Step(note(f"prepare {name}"), note(f"run {name}")) for name in names]


def test_a_budget_closes_once_its_seconds_are_gone() -> None:
    now = [100.0]
    budget = Budget(30, clock=lambda: now[0])
    now[0] = 129.0
    budget.check()
    assert budget.spent_s == 29.0
    now[0] = 130.0
    with pytest.raises(NotMeasuredError, match=r"the time budget of 30 s was used up"):
        budget.check()


def test_every_run_is_prepared_and_engines_take_turns() -> None:
    log: list[str] = []
    engines = [logging_steps(log, "a"), logging_steps(log, "b")]
    samples = sample(engines, Limits(least=2, most=2))
    assert [len(row) for row in samples] == [2 * NUM_ROUNDS] * 2
    assert log[:8] == ["prepare a", "run a"] * 2 + ["prepare b", "run b"] * 2
    assert log[8] == "prepare b"  # the second round begins with the second engine
    assert min(min(row) for row in samples) >= 0


def test_rounds_go_on_through_the_steps_and_begin_again() -> None:
    log: list[str] = []
    sample([logging_steps(log, "abc")], Limits(least=2, most=2))
    assert [line for line in log if line.startswith("run")] == [f"run {name}" for name in "abcabc"]


def test_a_round_ends_at_its_seconds_but_not_before_the_least_steps() -> None:
    log: list[str] = []
    (samples,) = sample([logging_steps(log, "a")], Limits(least=3, most=50, seconds=0.0))
    assert len(samples) == 3 * NUM_ROUNDS


def test_warming_up_reaches_every_step() -> None:
    log: list[str] = []
    warm_up(logging_steps(log, "abcdef"))
    assert [line for line in log if line.startswith("run")] == [f"run {n}" for n in "abcdef"]
    log.clear()
    warm_up(logging_steps(log, "a"))
    assert log.count("run a") == WARM_STEPS


def test_passages_have_the_mean_and_the_limit_asked_for() -> None:
    lengths = passage_lengths(177, 384, 512)
    assert lengths == passage_lengths(177, 384, 512)
    assert np.mean(lengths) == pytest.approx(177, abs=2)
    assert min(lengths) >= 32
    assert max(lengths) <= 384
    assert len(set(lengths)) > 100


def test_texts_have_the_lengths_asked_for() -> None:
    lengths = uniform_lengths(16, 32, 20)
    assert min(lengths) >= 16
    assert max(lengths) <= 32
    texts = texts_of(lengths)
    assert [len(text.split()) + 2 for text in texts] == lengths
    assert len(set(texts)) == len(texts)


def test_a_random_batch_is_padded_on_the_right() -> None:
    batch = random_batch([2, 4], 5, 50, seed=3)
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0]]
    assert (batch.input_ids[batch.attention_mask == 0] == 0).all()
    assert (batch.input_ids[batch.attention_mask == 1] >= 5).all()
    assert batch.input_ids.max() < 50
    assert batch.input_ids.dtype == np.int64
