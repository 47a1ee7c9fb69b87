"""Tests how many retries a client may still make."""

from __future__ import annotations

import pytest

from serve.client.budget import RetryBudget


def left(budget: RetryBudget) -> int:
    """Return how many retries there are, by spending them."""
    return sum(1 for _ in iter(budget.spend, False))


def test_requests_earn_a_share_of_a_retry_up_to_the_reserve() -> None:
    budget = RetryBudget(0.25, 3)
    assert left(budget) == 3
    for _ in range(7):
        budget.earn()
    assert left(budget) == 1, "and three quarters of another"
    budget.earn()
    assert left(budget) == 1
    for _ in range(100):
        budget.earn()
    assert left(budget) == 3


def test_no_more_are_set_aside_than_there_are_and_whoever_fails_first_takes_them() -> None:
    budget = RetryBudget(0.25, 3)
    assert budget.spend()
    assert [budget.set_aside() for _ in range(3)] == [True, True, False]
    budget.put_back()
    assert [budget.set_aside() for _ in range(2)] == [True, False]
    assert left(budget) == 2
    budget.put_back()
    budget.put_back()
    assert not budget.set_aside()


@pytest.mark.parametrize(("spent", "refunds", "expected"), [(3, 1, 1), (3, 2, 2), (1, 2, 3)])
def test_a_refund_gives_one_retry_back_and_never_more_than_the_reserve(
    spent: int, refunds: int, expected: int
) -> None:
    budget = RetryBudget(0.25, 3)
    for _ in range(spent):
        assert budget.spend()
    for _ in range(refunds):
        budget.refund()
    assert left(budget) == expected
