"""The measures against values that are known, and by what they are meant to see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from train.drift.measures import Column, Layout, jensen_shannon, measures, stability_index


def test_divergence_is_0_of_equals_1_of_strangers_and_between_as_published() -> None:
    some = np.array([[2.0, 2.0], [4.0, 0.0], [3.0, 1.0]])
    others = np.array([[7.0, 7.0], [0.0, 9.0], [1.0, 1.0]])
    entropy = lambda *p: -sum(x * math.log2(x) for x in p)  # noqa: E731
    between = entropy(0.625, 0.375) - (entropy(0.75, 0.25) + entropy(0.5, 0.5)) / 2
    assert jensen_shannon(some, others) == pytest.approx([0.0, 1.0, between])
    assert jensen_shannon(others, some) == pytest.approx([0.0, 1.0, between])


def test_the_stability_index_is_that_of_the_smoothed_shares() -> None:
    some, others = np.array([[9.5, 9.5]]), np.array([[4.5, 14.5]])
    expected = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert stability_index(some, others) == pytest.approx([expected])
    assert stability_index(some, some) == pytest.approx([0.0])
    assert np.isfinite(stability_index(np.array([[0.0, 3.0]]), np.array([[3.0, 0.0]])))


def sums(layout: Layout, **given: float) -> np.ndarray:
    """Return the sums of a set of ten lines and a hundred words, but for what is given."""
    row = np.zeros((1, layout.word_columns.stop))
    columns = list(Column)
    usual = {"LINES": 10, "WORDS": 100, "TOKENS": 120, "SCORE": 80, "ENTITIES": 30}
    for name, value in {**usual, **given}.items():
        row[0, columns.index(Column[name])] = value
    row[0, layout.label_columns] = [20, 10]
    row[0, layout.word_columns] = [60, 40]
    return row


@pytest.mark.parametrize(
    ("given", "name", "change"),
    [
        ({"UNSEEN_WORDS": 10}, "unseen words", 0.1),
        ({"UNSEEN_TOKENS": 12}, "unseen tokens", 0.1),
        ({"UNKNOWN_TOKENS": 6}, "unknown tokens", 0.05),
        ({"SCORE": 70}, "mean score", 0.1),
        ({"SCORE": 90}, "mean score", -0.1),
        ({"ENTITIES": 40}, "entities a line", 1.0),
        ({"ENTITIES": 20}, "entities a line", 1.0),
    ],
)
def test_a_change_moves_its_own_measure_only(
    given: dict[str, float], name: str, change: float
) -> None:
    layout = Layout(("A", "B"), ("oil", ""))
    found = {
        measure.name: measure.change(sums(layout), sums(layout, **given))[0]
        for measure in measures(layout)
    }
    assert found.pop(name) == pytest.approx(change)
    assert list(found.values()) == pytest.approx([0.0] * len(found))
