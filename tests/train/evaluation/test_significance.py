"""The p-value, against all shuffles of a small case and against what is obvious."""

from __future__ import annotations

from itertools import product

import pytest

from serve.examples import Span
from serve.scoring import score_entities
from tests.train.evaluation.lines import numbered, random_answers
from train.evaluation.answers import gold_of, predicted_of
from train.evaluation.significance import NUM_SHUFFLES, differences


def test_equal_answers_differ_by_chance_only() -> None:
    answers = random_answers(1)
    found = differences(
        gold_of(answers), predicted_of(answers), predicted_of(answers), numbered(40)
    )
    assert found.overall.p_value == 1
    assert {difference.p_value for difference in found.by_label.values()} == {1.0}


def test_the_p_value_is_the_share_of_all_shuffles() -> None:
    answers = random_answers(3, num_lines=7)
    gold, after = gold_of(answers), predicted_of(answers)
    before = [spans[::2] for spans in after]
    seen = _f1(gold, after) - _f1(gold, before)
    assert seen != 0
    shuffled = []
    for swaps in product([False, True], repeat=len(gold)):
        pairs = [(b, a) if not s else (a, b) for s, b, a in zip(swaps, before, after, strict=True)]
        first, second = zip(*pairs, strict=True)
        shuffled.append(abs(_f1(gold, second) - _f1(gold, first)) >= abs(seen) - 1e-12)
    exact = sum(shuffled) / len(shuffled)
    assert differences(gold, before, after, numbered(7)).overall.p_value == pytest.approx(
        exact, abs=0.03
    )


def test_an_obvious_difference_is_told_from_chance_on_the_label_it_is_of() -> None:
    answers = random_answers(5, num_lines=80)
    gold = gold_of(answers)
    without_a = [tuple(s for s in spans if s.label != "A") for spans in gold]
    found = differences(gold, gold, without_a, numbered(80))
    assert found.overall.p_value == pytest.approx(1 / (1 + NUM_SHUFFLES))
    assert found.by_label["A"].p_value == pytest.approx(1 / (1 + NUM_SHUFFLES))
    assert found.by_label["B"].p_value == 1
    assert found.by_label["A"].change.loss_points == 100


def test_lines_that_differ_say_how_small_a_p_value_can_be() -> None:
    gold = [(Span(0, 2, "A"), Span(3, 5, "B"))] * 8
    lost_on_six = [spans[1:] for spans in gold[:6]] + gold[6:]
    found = differences(gold, gold, lost_on_six, numbered(8))
    label = found.by_label["A"]
    assert label.num_apart == 6
    assert label.least_p_value == 2**-5
    assert label.p_value == pytest.approx(2**-5, abs=0.02)
    assert found.by_label["B"].num_apart == 0
    assert found.by_label["B"].least_p_value == 1


def test_where_nothing_is_right_no_line_can_tell_taggers_apart() -> None:
    gold, wrong = [(Span(0, 2, "A"),)] * 9, [(Span(3, 5, "A"),)] * 9
    found = differences(gold, wrong, [()] * 9, numbered(9))
    assert found.by_label["A"].num_apart == 0
    assert found.by_label["A"].p_value == 1


def test_a_text_that_is_repeated_is_evidence_once() -> None:
    gold = [(Span(0, 2, "A"),)] * 13
    lost = [()] * 12 + gold[12:]
    once = differences(gold[11:], gold[11:], lost[11:], ["fix hose", "fix pump"]).overall
    many = differences(gold, gold, lost, ["fix hose", "Fix  Hose"] * 6 + ["fix pump"]).overall
    assert many.change.after == pytest.approx(2 / 14), "each line counts in F1"
    assert (many.p_value, many.num_apart) == (once.p_value, once.num_apart) == (1, 1)


def _f1(gold: object, predicted: object) -> float:
    return score_entities(gold, predicted).micro.f1
