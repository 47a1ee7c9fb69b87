"""The calibration error against sums done by hand, and what counts as right."""

from __future__ import annotations

import numpy as np
import pytest

from tests.train.evaluation.lines import answer
from train.evaluation.reliability import NUM_BINS, of_entities, of_words, reliability


def test_the_error_is_the_weighted_distance_of_score_and_share_right() -> None:
    found = reliability([0.9, 0.9, 0.9, 0.9, 0.3], [True, True, True, False, True])
    assert [b.num for b in found.bins] == [1, 4]
    assert found.bins[1].score == pytest.approx(0.9)
    assert found.bins[1].right == 0.75
    assert found.ece == pytest.approx(4 / 5 * 0.15 + 1 / 5 * 0.7)
    assert found.brier == pytest.approx((3 * 0.01 + 0.81 + 0.49) / 5)


def test_scores_that_keep_their_word_have_next_to_no_error_and_surer_ones_have() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(20_000)
    right = draw.random(20_000) < scores
    assert reliability(scores.tolist(), right.tolist()).ece < 0.015
    assert reliability(np.sqrt(scores).tolist(), right.tolist()).ece > 0.1


def test_a_score_on_a_border_belongs_to_the_bin_below_it() -> None:
    found = reliability([0.0, 1 / NUM_BINS, 1.0], [False, False, True])
    assert [(b.low, b.num) for b in found.bins] == [(0.0, 2), ((NUM_BINS - 1) / NUM_BINS, 1)]


def test_nothing_has_no_error() -> None:
    assert reliability([], []).ece == reliability([], []).brier == 0


def test_words_are_right_by_tag_and_entities_by_label_and_borders() -> None:
    one = answer("fix oil pump", gold="oil_pump:A", predicted="fix:B pump:A")
    words = of_words([one], plain=False)
    assert words.num == 3
    assert words.bins[0].right == 0, "pump is I-A in gold and B-A in the prediction"
    entities = of_entities([one, answer("fix", gold="fix:B", predicted="fix:B")], plain=True)
    assert (entities.num, entities.bins[0].right) == (3, pytest.approx(1 / 3))
