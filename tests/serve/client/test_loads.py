"""Tests what many requests at once come to, in simulated time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from serve.client.policy import Policy
from serve.client.route import Route
from serve.client.steps import Answered, Ask, Outcome, Refresh
from serve.triton.failures import Failed, Failure
from serve.versions.traffic import Traffic
from tests.serve.client.courses import ANSWER, A, B, C, world
from tests.serve.client.loads import Load, Sent

STALE = Failed(Failure.STALE_VERSION, "version 2 is not found")


def test_an_endpoint_without_the_clients_version_stays_left_out_and_costs_no_answers() -> None:
    def serve(step: Sent) -> tuple[float, Outcome]:
        is_behind = step.endpoint.url == A
        if isinstance(step, Ask | Refresh):
            return 0.002, Answered([Traffic(stable=1 if is_behind else 2)], "1")
        has_it = step.version in ("", "1") if is_behind else step.version in ("", "2")
        return (0.2, ANSWER) if has_it else (0.02, STALE)

    it = world(A, B, route=Route(0.5))
    it.dispatcher.learned(Answered([Traffic(stable=2)], "1"))
    load = Load(it, serve, num_left=1_000)
    load.run(num_callers=32)
    assert load.errors == []
    assert it.dispatcher.stats.num_ejected == {A: 1}
    assert it.dispatcher.stats.num_probes > 1


@pytest.mark.parametrize("urls", [[A], [A, B], [f"a:{port}" for port in range(1, 10)]])
def test_a_client_that_was_idle_during_a_promotion_loses_no_answer(urls: list[str]) -> None:
    def serve(step: Sent) -> tuple[float, Outcome]:
        if isinstance(step, Ask | Refresh):
            return 0.002, Answered([Traffic(stable=2)], "2")
        return (0.01, ANSWER) if step.version == "2" else (0.001, STALE)

    it = world(*urls, route=Route(0.5))
    it.dispatcher.learned(Answered([Traffic(stable=1)], "1"))
    it.clock.now += 3_600.0
    num_callers = 30 * len(urls)
    load = Load(it, serve, num_left=num_callers)
    load.run(num_callers)
    assert load.errors == []
    assert load.slowest_s < 0.3


@pytest.mark.parametrize("urls", [[A], [A, B]])
def test_servers_that_name_a_version_they_lack_are_asked_within_the_budget(
    urls: list[str],
) -> None:
    sent: Counter[str] = Counter()

    def serve(step: Sent) -> tuple[float, Outcome]:
        sent[type(step).__name__] += 1
        is_question = isinstance(step, Ask | Refresh)
        return 0.001, Answered([Traffic(stable=5)], "4") if is_question else STALE

    num_requests = 500
    load = Load(world(*urls, route=Route(0.5)), serve, num_left=num_requests)
    load.run(num_callers=4)
    assert len(load.errors) == num_requests
    retries = Policy.retry_budget * num_requests + Policy.retry_reserve
    free = len(urls) * num_requests
    assert num_requests < sent["Try"] <= num_requests + free + retries


@pytest.mark.parametrize("urls", [[A], [A, B], [A, B, C]])
@pytest.mark.parametrize("num_callers", [1, 8, 30])
def test_endpoints_slower_than_a_try_may_be_lose_no_answer(
    urls: list[str], num_callers: int
) -> None:
    chance = random.Random(0)
    it = world(*urls)
    load = Load(it, lambda step: (chance.uniform(0.3, 0.4), ANSWER), num_left=300)
    load.run(num_callers)
    assert load.errors == []
    assert it.dispatcher.stats.retries.total() <= 32 + 0.10 * 300


@pytest.mark.parametrize("num_callers", [2, 8, 32])
def test_a_silent_endpoint_loses_no_answer_and_is_soon_left_out(num_callers: int) -> None:
    left_out_s: list[float] = []

    def serve(step: Sent) -> tuple[float, Outcome]:
        now = it.clock.now - began
        silent, _ = it.dispatcher.endpoints
        if silent.probe_at is not None:
            left_out_s.append(now)
        return (60.0 if step.endpoint is silent and now > 0.1 else 0.01), ANSWER

    it = world(A, B)
    began = it.clock.now
    load = Load(it, serve, num_left=2_000)
    load.run(num_callers)
    assert load.errors == []
    assert load.slowest_s < 0.3
    assert 0.1 < left_out_s[0] < 1.0


@pytest.mark.parametrize("num_callers", [8, 60])
@pytest.mark.parametrize("slowest_s", [0.03, 0.4])
def test_retries_stay_within_the_budget_whatever_is_set_aside_meanwhile(
    num_callers: int, slowest_s: float
) -> None:
    """Some tries fail at once, and take the retries set aside for those that are cut short."""
    chance, num_requests = random.Random(0), 2_000

    def serve(step: Sent) -> tuple[float, Outcome]:
        if chance.random() < 0.2:
            return 0.001, Failed(Failure.UNREACHABLE, "Connection reset")
        return chance.uniform(slowest_s / 3, slowest_s), ANSWER

    it = world(A, B, C)
    Load(it, serve, num_left=num_requests).run(num_callers)
    earned = Policy.retry_budget * num_requests
    assert earned < it.dispatcher.stats.retries.total() <= earned + Policy.retry_reserve
    assert it.in_flight() == [0, 0, 0]


def test_endpoints_that_are_all_silent_take_no_longer_than_the_deadline_nor_more_retries() -> None:
    policy = Policy(deadline_s=0.5, try_timeout_s=0.1)
    it = world(A, B, policy=policy)
    load = Load(it, lambda step: (60.0, ANSWER), num_left=300)
    load.run(num_callers=16)
    assert len(load.errors) == 300
    assert load.slowest_s == pytest.approx(policy.deadline_s)
    assert 0 < it.dispatcher.stats.retries.total() <= 32 + 0.10 * 300
    assert it.in_flight() == [0, 0]
