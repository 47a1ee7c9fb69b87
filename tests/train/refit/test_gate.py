"""The gate: what opens it, and everything that closes it."""

from __future__ import annotations

import pytest

from serve.bootstrap import F1Change
from serve.examples import Span
from tests.train.evaluation.lines import numbered
from train.evaluation.significance import NUM_SHUFFLES, Difference, Differences, differences
from train.refit.gate import NEW, OLD, Contest, Rule, holm, judge, num_shuffles

EQUAL = Difference(F1Change(50, 0.7, 0.7, (-1.0, 1.0)), 1.0, 20)
BETTER = Difference(F1Change(50, 0.7, 0.75, (-7.0, -3.0)), 0.001, 20)


def moved(points: float, p_value: float) -> Difference:
    """Return a difference of so many points, a gain being positive."""
    return Difference(F1Change(50, 0.7, 0.7 + points / 100, (0.0, 0.0)), p_value, 20)


def contest(
    *,
    old: Difference = EQUAL,
    new: Difference = EQUAL,
    both: Difference = BETTER,
    old_labels: dict[str, Difference] | None = None,
    new_labels: dict[str, Difference] | None = None,
) -> Contest:
    return Contest(
        Differences(old, old_labels or {}),
        Differences(new, new_labels or {}),
        Differences(both, {}),
    )


def test_a_win_without_a_loss_is_accepted() -> None:
    verdict = judge(contest(), Rule())
    assert verdict.accepted
    assert verdict.reasons == (
        "wins: F1 70.00 to 75.00 (+5.00 points) on both tests together, p 0.0010",
    )


def test_the_least_p_value_of_many_shuffles_is_not_told_as_0() -> None:
    least = 1 / 24_001
    told = judge(contest(old=moved(-5, least), both=moved(5, least)), Rule()).reasons
    assert [reason.rpartition(" p ")[2] for reason in told] == ["<0.0001"]
    assert judge(contest(both=moved(5, least)), Rule()).win.endswith("together, p <0.0001")


@pytest.mark.parametrize("both", [EQUAL, moved(2, 0.06), moved(0, 0.01), moved(-2, 0.01)])
def test_no_win_is_refused(both: Difference) -> None:
    verdict = judge(contest(both=both), Rule())
    assert not verdict.accepted
    assert verdict.reasons[0].startswith("no win: F1 70.00 to ")


def test_the_significance_is_the_users() -> None:
    assert judge(contest(both=moved(2, 0.06)), Rule(significance=0.1)).accepted


def test_a_win_bought_with_a_loss_on_the_old_test_is_refused() -> None:
    verdict = judge(contest(old=moved(-5, 0.01), new=moved(40, 0.0005)), Rule())
    assert not verdict.accepted
    assert verdict.reasons == (
        "loses on the old test: F1 70.00 to 65.00 (-5.00 points), beyond the allowance of 1, "
        "p 0.0100",
    )


def test_a_loss_on_the_new_test_is_refused_too() -> None:
    (reason,) = judge(contest(new=moved(-5, 0.01)), Rule()).reasons
    assert reason.startswith("loses on the new test")


def test_a_loss_within_the_allowance_is_let_pass_and_one_beyond_it_is_not() -> None:
    slight = contest(old=moved(-3, 0.0005))
    assert judge(slight, Rule(allowance_points=3.01)).accepted
    assert not judge(slight, Rule(allowance_points=2.99)).accepted


def test_a_loss_that_chance_explains_is_let_pass() -> None:
    assert judge(contest(old=moved(-5, 0.06)), Rule()).accepted


def test_a_label_is_looked_at_with_all_others_in_mind() -> None:
    others = dict.fromkeys("BCDEFGHIJ", EQUAL)
    by_chance = contest(old_labels={"A": moved(-30, 0.02), **others})
    assert judge(by_chance, Rule()).accepted, "of ten labels one is as bad by chance"
    real = judge(contest(new_labels={"A": moved(-30, 0.004), **others}), Rule())
    assert real.reasons == (
        "loses on A of the new test: F1 70.00 to 40.00 (-30.00 points), beyond the allowance of 1, "
        "adjusted p 0.0400",
    )
    assert real.adjusted_p[NEW, "A"] == pytest.approx(0.04)


@pytest.mark.parametrize("num_apart", [0, 5])
def test_labels_that_could_not_lose_do_not_make_it_harder_for_those_that_did(
    num_apart: int,
) -> None:
    idle = dict.fromkeys("BCDEFGHIJ", Difference(EQUAL.change, 1.0, num_apart))
    verdict = judge(contest(old_labels={"A": moved(-30, 0.02), **idle}), Rule())
    assert not verdict.accepted
    assert verdict.adjusted_p == {(OLD, "A"): 0.02} | {(OLD, label): 1.0 for label in idle}


def test_every_reason_of_a_refusal_is_told_losses_first() -> None:
    verdict = judge(contest(old=moved(-5, 0.01), new=moved(-6, 0.01), both=EQUAL), Rule())
    kinds = [reason.partition(":")[0] for reason in verdict.reasons]
    assert kinds == ["loses on the old test", "loses on the new test", "no win"]


def test_a_doubt_refuses_whatever_the_contest_says() -> None:
    verdict = judge(contest(), Rule(), ["doubts the labels of x"])
    assert not verdict.accepted
    assert verdict.reasons == ("doubts the labels of x",)


def test_p_values_are_adjusted_as_holm_says() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize("num_labels", [1, 10, 60])
@pytest.mark.parametrize("significance", [0.01, 0.05, 0.07])
def test_there_are_shuffles_enough_for_any_number_of_labels(
    num_labels: int, significance: float
) -> None:
    num = num_shuffles(num_labels, Rule(significance=significance))
    assert num % 100 == 0
    assert num >= NUM_SHUFFLES
    assert 2 * num_labels / num <= significance / 10, "the least p-value, adjusted"


def rare_label_lost(num_lines: int) -> Contest:
    """Return a contest of 200 lines in which one of 11 labels is lost on so many lines."""
    common = [Span(0, 2, "ABCDEFGHIJ"[line % 10]) for line in range(200)]
    gold = [
        (span, Span(3, 5, "Rare")) if i < num_lines else (span,) for i, span in enumerate(common)
    ]
    lost = [(span,) for span in common]
    found = differences(gold, gold, lost, numbered(200), num_shuffles=num_shuffles(11, Rule()))
    return Contest(found, found, Differences(BETTER, {}))


def test_a_rare_label_that_is_wholly_lost_is_noticed_and_a_handful_is_no_proof() -> None:
    wide = Rule(allowance_points=10.0)  # so that the loss over all labels does not veto
    losses = judge(rare_label_lost(16), wide).losses
    assert [loss.partition(":")[0] for loss in losses] == [
        f"loses on Rare of the {test} test" for test in (OLD, NEW)
    ]
    assert judge(rare_label_lost(4), wide).accepted
