"""What chance explains, on figures whose kind is known."""

from __future__ import annotations

import numpy as np
import pytest

from train.drift.chance import LEVEL, NUM_DEALS, findings
from train.drift.measures import Direction, Measure

SHARE = Measure("share", Direction.HIGHER, lambda sums: sums[:, 0] / sums[:, 1])


def lines(shares: list[float], num: int, seed: int) -> np.ndarray:
    """Return that many lines for each share: an event or none, and a one to count it by."""
    random = np.random.default_rng(seed)
    events = [random.random(num) < share for share in shares]
    return np.stack([np.concatenate(events).astype(float), np.ones(num * len(shares))], axis=1)


def test_lines_of_one_kind_are_seldom_taken_for_drift() -> None:
    found = [findings(lines([0.2, 0.2], 60, seed), 60, (SHARE,))[0] for seed in range(60)]
    assert sum(f.is_drift for f in found) <= 3  # 0.6 expected
    assert np.mean([f.p_value for f in found]) == pytest.approx(0.5, abs=0.15)


def test_lines_of_another_kind_are_drift_and_the_limit_says_from_where_on() -> None:
    (found,) = findings(lines([0.2, 0.6], 60, 1), 60, (SHARE,))
    assert found.is_drift
    assert found.p_value == pytest.approx(1 / (1 + NUM_DEALS))
    assert found.reference == pytest.approx(0.2, abs=0.12)
    assert found.new == pytest.approx(0.6, abs=0.15)
    assert found.change == pytest.approx(found.new - found.reference)
    # Twice the deviation of a difference of two shares, at one in a hundred: 2.33 of them.
    assert found.by_chance == pytest.approx(2.33 * (0.4 * 0.6 * 2 / 60) ** 0.5, rel=0.25)


def test_what_is_larger_than_chance_explains_is_drift_and_nothing_else() -> None:
    draw = np.random.default_rng(3)
    measures = tuple(
        Measure(f"mean {i}", Direction.HIGHER, lambda sums, i=i: sums[:, i] / sums[:, 7])
        for i in range(7)
    )
    num_drifts = 0
    for apart in np.linspace(2.6, 3.4, 12):  # in deviations; 1/700 is 2.98
        figures = np.concatenate([draw.normal(size=(80, 7)), np.ones((80, 1))], axis=1)
        figures[:, :7] -= np.repeat([figures[:40, :7].mean(0), figures[40:, :7].mean(0)], 40, 0)
        figures[40:, :7] += apart * (2 / 40) ** 0.5
        found = findings(figures, 40, measures)
        assert [f.is_drift for f in found] == [f.change > f.by_chance + 1e-9 for f in found]
        num_drifts += sum(f.is_drift for f in found)
    assert 0 < num_drifts < 84


def test_a_change_for_the_better_is_none() -> None:
    (found,) = findings(lines([0.6, 0.2], 60, 1), 60, (SHARE,))
    assert not found.is_drift
    assert found.p_value > 1 - LEVEL


def test_more_measures_ask_for_more() -> None:
    figures = lines([0.2, 0.4], 100, 0)
    (alone,) = findings(figures, 100, (SHARE,))
    among = findings(figures, 100, (SHARE,) * 10)
    assert among[0].p_value == alone.p_value
    assert among[0].by_chance > alone.by_chance
    assert alone.is_drift
    assert not among[0].is_drift
