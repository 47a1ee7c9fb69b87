"""Tests the settings of a client: their defaults make sense, and nonsense is refused by name."""

from __future__ import annotations

import math

import pytest

from serve.client.policy import Policy


def test_the_defaults_leave_time_for_a_second_try() -> None:
    policy = Policy()
    assert 2 * policy.try_timeout_s < policy.deadline_s == 1.0
    assert policy.retry_budget == 0.10
    assert policy.retry_reserve >= policy.max_in_flight, "a server may die with that many under way"


SECONDS = "expected seconds above 0, at most 31,536,000"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("deadline_s", 0.0, f"deadline_s: {SECONDS}, got 0"),
        (
            "deadline_s",
            math.inf,
            f"deadline_s: {SECONDS}, got inf",
        ),
        ("deadline_s", 1e12, f"deadline_s: {SECONDS}, got 1000000000000"),
        (
            "deadline_s",
            math.nan,
            f"deadline_s: {SECONDS}, got nan",
        ),
        (
            "try_timeout_s",
            -1.0,
            f"try_timeout_s: {SECONDS}, got -1",
        ),
        ("probe_after_s", 0, f"probe_after_s: {SECONDS}, got 0"),
        (
            "max_probe_after_s",
            0,
            f"max_probe_after_s: {SECONDS}, got 0",
        ),
        ("max_in_flight", 0, "max_in_flight: expected at least 1, got 0"),
        ("max_tries", 0, "max_tries: expected at least 1, got 0"),
        ("eject_after", 0, "eject_after: expected at least 1, got 0"),
        ("retry_reserve", -1, "retry_reserve: expected at least 0, got -1"),
        ("retry_budget", 1.5, "retry_budget: expected a share from 0 to 1, got 1.5"),
    ],
)
def test_a_setting_out_of_range_is_named(setting: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy(**{setting: value})
