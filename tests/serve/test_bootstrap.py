"""The change of F1 and its interval, against sums done by hand and a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from serve.bootstrap import NUM_RESAMPLES, f1_changes, f1_intervals, text_counts
from serve.examples import Span
from serve.scoring import score_entities

A, B = Span(0, 1, "A"), Span(2, 3, "B")


def numbered(num: int) -> list[str]:
    """Return so many texts, no two of them equal."""
    return [f"fix hose {i}" for i in range(num)]


def test_the_change_is_that_of_the_scores_overall_and_by_label() -> None:
    gold = [[A, B], [A], [B]]
    changes = f1_changes(gold, gold, [[A, B], [], [B, A]], numbered(3))
    assert (changes.overall.before, changes.overall.after) == (1.0, 0.75)
    assert changes.overall.loss_points == 25
    assert changes.by_label["A"].after == pytest.approx(0.5)
    assert changes.by_label["B"].loss_points == 0
    assert {label: c.num_gold for label, c in changes.by_label.items()} == {"A": 2, "B": 2}


def test_equal_answers_leave_no_doubt_and_a_label_without_gold_is_no_error() -> None:
    changes = f1_changes([[A], []], [[A], [B]], [[A], [B]], numbered(2))
    assert changes.overall.interval_points == (0, 0)
    assert changes.by_label["B"].before == changes.by_label["B"].after == 0


def test_the_interval_of_one_loss_in_two_lines_is_that_of_the_four_draws() -> None:
    # The draws: twice the good line (loss 0), each once (100 - 67), twice the lost one (100).
    low, high = f1_changes([[A], [A]], [[A], [A]], [[A], []], numbered(2)).overall.interval_points
    assert (low, high) == (0, 100)
    many = f1_changes([[A]] * 40, [[A]] * 40, [[A]] * 39 + [[]], numbered(40)).overall
    assert many.loss_points == pytest.approx(100 - 100 * 78 / 79)
    assert many.interval_points[0] == 0  # in over a third of the draws that line is not there
    assert many.interval_points[1] == pytest.approx(100 - 100 * 2 * 37 / 77)  # three times


def test_the_interval_is_that_of_a_slow_loop() -> None:
    draw = np.random.default_rng(1)
    gold = [[A, B] if draw.random() < 0.5 else [A] for _ in range(60)]
    before = [[s for s in line if draw.random() < 0.9] for line in gold]
    after = [[s for s in line if draw.random() < 0.8] for line in gold]
    losses = []
    for _ in range(NUM_RESAMPLES):
        rows = draw.integers(0, len(gold), len(gold))
        f1 = [
            score_entities([gold[i] for i in rows], [spans[i] for i in rows]).micro.f1
            for spans in (before, after)
        ]
        losses.append(100 * (f1[0] - f1[1]))
    expected = np.percentile(losses, [2.5, 97.5])
    found = f1_changes(gold, before, after, numbered(60)).overall
    assert found.interval_points == pytest.approx(expected, abs=1)


def test_the_interval_of_one_models_f1_is_that_of_a_slow_loop() -> None:
    gold = [[A, B]] * 60
    predicted = [[A, B]] * 20 + [[A]] * 20 + [[]] * 20
    draw = np.random.default_rng(2)
    found_in, wanted = np.repeat([2, 1, 0], 20), 2
    found = (found_in[draw.integers(0, 60, 60)].sum() / 60 for _ in range(NUM_RESAMPLES))
    f1 = [2 * mean / (mean + wanted) for mean in found]
    overall, *_ = f1_intervals(text_counts(gold, predicted, ["A", "B"], numbered(60)))
    assert overall == pytest.approx(np.percentile(f1, [2.5, 97.5]), abs=0.02)
    sure = text_counts([[A]] * 400, [[A]] * 200 + [[]] * 200, ["A"], numbered(400))
    low, high = f1_intervals(sure)[0]
    assert 0.6 < low < 2 / 3 < high < 0.73


@pytest.mark.parametrize("num_right", [0, 1, 30, 40])
def test_lines_that_cannot_tell_have_no_interval(num_right: int) -> None:
    """Nor do forty that are all right, or all wrong: others may be neither."""
    gold = [[A]] * 40
    counts = text_counts(gold, [[A]] * num_right + [[]] * (40 - num_right), ["A"], numbered(40))
    assert [ends is None for ends in f1_intervals(counts)] == [num_right in (0, 40)] * 2


@pytest.mark.parametrize("num_rare", [1, 2, 24, 25])
def test_a_label_of_few_texts_has_no_interval(num_rare: int) -> None:
    gold = [[B]] * num_rare + [[A]] * 60
    predicted = [*([[B]] * (num_rare - 1)), [A], *([[A]] * 30), *([[]] * 30)]
    counts = text_counts(gold, predicted, ["A", "B"], numbered(len(gold)))
    overall, common, rare = f1_intervals(counts)
    assert overall is not None
    assert common is not None
    assert (rare is None) == (num_rare < 25)
    repeated = text_counts(gold, predicted, ["A", "B"], ["fix hose"] * num_rare + numbered(60))
    assert f1_intervals(repeated)[2] is None, "a text is one piece of evidence"


def test_texts_in_which_a_label_is_only_predicted_tell_of_it_too() -> None:
    gold = [[B]] * 10 + [[A]] * 60
    predicted = [[B]] * 9 + [[]] + [[A, B]] * 15 + [[A]] * 45
    counts = text_counts(gold, predicted, ["A", "B"], numbered(70))
    assert f1_intervals(counts)[2] is not None


def test_lines_of_one_text_are_drawn_together() -> None:
    gold, lost = [[A]] * 24, [[A]] * 12 + [[]] * 12
    twelve_each = ["fix pump"] * 12 + ["Fix  hose", "fix hose"] * 6
    many = f1_changes(gold, gold, lost, twelve_each).overall
    once = f1_changes([[A]] * 2, [[A]] * 2, [[A], []], numbered(2)).overall
    assert (many.num_gold, many.loss_points) == (24, once.loss_points), "each line counts in F1"
    assert many.interval_points == once.interval_points == (0, 100)


def test_lines_without_entities_have_no_interval() -> None:
    assert f1_intervals(text_counts([[]], [[]], [], numbered(1))) == [None]
