"""Which predicted entity answers to which gold one, and the confusion that makes."""

from __future__ import annotations

import pytest

from serve.scoring import score_entities
from tests.train.evaluation.lines import answer, random_answers, spans
from train.evaluation.answers import gold_of, predicted_of
from train.evaluation.pairs import Kind, confusion, kinds, pair_up

TEXT = "replace the left oil pump now"


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("oil_pump:A", "oil_pump:A", [Kind.RIGHT]),
        ("oil_pump:A", "oil_pump:B", [Kind.LABEL]),
        ("oil_pump:A", "left_oil_pump:A", [Kind.BORDERS]),
        ("oil_pump:A", "left_oil_pump:B", [Kind.BOTH]),
        ("oil_pump:A", "", [Kind.MISSED]),
        ("", "oil_pump:A", [Kind.SPURIOUS]),
        ("replace:A", "the:A", [Kind.MISSED, Kind.SPURIOUS]),
        # "pump" is the larger share of "oil pump", whatever its label.
        ("oil_pump:A", "oil:A pump:B", [Kind.SPURIOUS, Kind.BOTH]),
        # Equal spans come first, though the left neighbour overlaps too.
        ("left_oil:A pump:A", "left:A oil:B pump:A", [Kind.BORDERS, Kind.SPURIOUS, Kind.RIGHT]),
    ],
)
def test_an_entity_is_paired_with_what_shares_most_of_it(
    gold: str, predicted: str, expected: list[Kind]
) -> None:
    pairs = pair_up(spans(TEXT, gold), spans(TEXT, predicted))
    assert sorted(pair.kind for pair in pairs) == sorted(expected)


@pytest.mark.parametrize("seed", range(5))
def test_every_span_is_in_one_pair_and_as_many_are_right_as_are_scored_right(seed: int) -> None:
    answers = random_answers(seed)
    for one in answers:
        pairs = pair_up(one.gold, one.predicted)
        assert sorted(p.gold for p in pairs if p.gold) == list(one.gold)
        assert sorted(p.predicted for p in pairs if p.predicted) == list(one.predicted)
        assert all(
            p.gold.start < p.predicted.end and p.predicted.start < p.gold.end
            for p in pairs
            if p.gold and p.predicted
        )
    score = score_entities(gold_of(answers), predicted_of(answers)).micro
    assert kinds(answers)[Kind.RIGHT] == score.num_correct


def test_the_confusion_counts_labels_missed_and_spurious() -> None:
    answers = [
        answer(TEXT, gold="replace:A oil_pump:B", predicted="replace:A left_oil_pump:C"),
        answer(TEXT, gold="now:A", predicted="the:B"),
    ]
    assert confusion(answers) == {("A", "A"): 1, ("B", "C"): 1, ("A", None): 1, (None, "B"): 1}
    assert sum(kinds(answers).values()) == 4
