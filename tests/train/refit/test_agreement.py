import pytest

from tests.train.evaluation.lines import answer
from train.refit.agreement import Agreement, agreement, doubt

OLD = Agreement("the old test", 1000, 970)


def test_only_spans_with_equal_borders_are_counted() -> None:
    answers = [
        answer("fix oil pump", gold="fix:A oil_pump:B", predicted="fix:A oil_pump:B"),
        answer("fix oil pump", gold="fix:A oil_pump:B", predicted="fix:B pump:B"),
        answer("fix oil pump", gold="fix:A", predicted="oil_pump:A"),
    ]
    found = agreement("x", answers)
    assert (found.num_spans, found.num_agreed) == (3, 2)
    assert found.labels == (Agreement("A", 1, 1), Agreement("B", 2, 1))
    assert found.share == pytest.approx(2 / 3)


def test_a_line_that_is_written_down_again_is_no_further_evidence() -> None:
    mixed = answer("fix oil pump", gold="fix:B", predicted="fix:A")
    right = answer("fix oil pump", gold="fix:A", predicted="fix:A")
    found = agreement("x", [mixed, right, *[mixed] * 11])
    assert (found.num_spans, found.num_agreed) == (2, 1)


@pytest.mark.parametrize(("num_spans", "num_agreed"), [(500, 5), (500, 400), (20, 10), (8, 3)])
def test_labels_that_contradict_the_champions_are_doubted(num_spans: int, num_agreed: int) -> None:
    said = doubt(Agreement("may.txt", num_spans, num_agreed), OLD)
    assert said is not None
    assert said.startswith(f"doubts the labels of may.txt: of {num_spans} spans")
    assert said.endswith(f"{num_agreed / num_spans:.1%} have its label, on the old test 97.0%")


@pytest.mark.parametrize(
    ("num_spans", "num_agreed"), [(500, 485), (500, 445), (500, 500), (5, 4), (1, 0), (0, 0)]
)
def test_what_chance_or_a_little_disagreement_explains_is_not(
    num_spans: int, num_agreed: int
) -> None:
    assert doubt(Agreement("may.txt", num_spans, num_agreed), OLD) is None


def test_a_champion_without_an_error_does_not_doubt_the_first_that_comes() -> None:
    assert doubt(Agreement("may.txt", 9, 8), Agreement("the old test", 100, 100)) is None


def test_one_label_mixed_up_is_doubted_though_most_names_agree() -> None:
    old = Agreement("the old test", 1000, 970, (Agreement("A", 900, 873), Agreement("B", 100, 97)))
    mixed = Agreement("may.txt", 500, 470, (Agreement("A", 470, 470), Agreement("B", 30, 0)))
    assert doubt(mixed, old) == (
        "doubts the labels of may.txt on what the champion calls B: of 30 spans that the champion "
        "marks too, 0.0% have its label, on the old test 97.0%"
    )


@pytest.mark.parametrize(("num_spans", "num_agreed"), [(30, 20), (4, 0), (2, 0), (0, 0)])
def test_a_label_that_agrees_less_or_has_few_spans_is_not(num_spans: int, num_agreed: int) -> None:
    old = Agreement("the old test", 200, 190, (Agreement("A", 100, 97), Agreement("B", 100, 70)))
    new = Agreement(
        "may.txt", 470, 460, (Agreement("A", 440, 440), Agreement("B", num_spans, num_agreed))
    )
    assert doubt(new, old) is None


def test_a_label_that_the_old_test_does_not_show_is_not_doubted() -> None:
    new = Agreement("may.txt", 500, 470, (Agreement("A", 470, 470), Agreement("B", 30, 0)))
    assert doubt(new, Agreement("the old test", 100, 97, (Agreement("A", 100, 97),))) is None
