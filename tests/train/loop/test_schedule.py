from itertools import pairwise

import pytest

from train.config import Schedule
from train.loop.schedule import rate_at


def rates(schedule: Schedule, num_steps: int = 100, warmup: float = 0.1) -> list[float]:
    return [rate_at(step, num_steps, schedule, warmup) for step in range(num_steps + 1)]


@pytest.mark.parametrize("schedule", list(Schedule))
def test_the_learning_rate_rises_over_its_warm_up(schedule: Schedule) -> None:
    assert rates(schedule)[:10] == pytest.approx([share / 10 for share in range(1, 11)])
    assert rates(schedule)[10] == 1.0


@pytest.mark.parametrize(("schedule", "half_way"), [(Schedule.LINEAR, 0.5), (Schedule.COSINE, 0.5)])
def test_it_falls_to_zero(schedule: Schedule, half_way: float) -> None:
    falling = rates(schedule)[10:]
    assert all(a > b for a, b in pairwise(falling))
    assert falling[45] == pytest.approx(half_way)
    assert falling[-1] == 0.0


def test_a_cosine_stays_high_for_longer_than_a_straight_line() -> None:
    assert rates(Schedule.COSINE)[30] > rates(Schedule.LINEAR)[30]
    assert rates(Schedule.COSINE)[80] < rates(Schedule.LINEAR)[80]


def test_a_constant_one_stays() -> None:
    assert set(rates(Schedule.CONSTANT)[10:]) == {1.0}


@pytest.mark.parametrize("schedule", list(Schedule))
@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_the_shortest_runs_learn_too(schedule: Schedule, num_steps: int, warmup: float) -> None:
    shares = [rate_at(step, num_steps, schedule, warmup) for step in range(num_steps)]
    assert all(0 < share <= 1 for share in shares)
