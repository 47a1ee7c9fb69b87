"""nervaluate's modes, held against our own strict scores, seqeval, and counts done by hand."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import pytest
from nervaluate import Evaluator
from nervaluate.strategies import StrictEvaluation
from seqeval.metrics import f1_score, precision_score, recall_score

from serve.bootstrap import labels_of
from serve.examples import Span
from serve.scoring import score_entities
from tests.train.evaluation.lines import answer, of_spans, random_answers
from train.evaluation.answers import gold_of, predicted_of
from train.evaluation.modes import MODES, ModeScore, mode_scores

TEXT = "replace the left oil pump"


@pytest.mark.parametrize("seed", range(20))
def test_strict_equals_the_scores_of_the_gate_and_of_seqeval(seed: int) -> None:
    answers = random_answers(seed)
    strict = mode_scores(answers).overall["strict"]
    ours = score_entities(gold_of(answers), predicted_of(answers))
    expected = (ours.micro.precision, ours.micro.recall, ours.micro.f1)
    assert (strict.precision, strict.recall, strict.f1) == pytest.approx(expected)
    for label, score in ours.by_label.items():
        assert mode_scores(answers).by_label[label]["strict"].f1 == pytest.approx(score.f1)
    tags = [list(a.gold_tags) for a in answers], [list(a.tags) for a in answers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of seqeval, for labels that one side has not
        theirs = precision_score(*tags), recall_score(*tags), f1_score(*tags)
    assert expected == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("gold", "predicted", "f1"),
    [
        ("oil_pump:A", "oil_pump:A", {"strict": 1, "exact": 1, "partial": 1, "type": 1}),
        ("oil_pump:A", "oil_pump:B", {"strict": 0, "exact": 1, "partial": 1, "type": 0}),
        ("oil_pump:A", "pump:A", {"strict": 0, "exact": 0, "partial": 0.5, "type": 1}),
        ("oil_pump:A", "pump:B", {"strict": 0, "exact": 0, "partial": 0.5, "type": 0}),
        ("oil_pump:A", "the:A", {"strict": 0, "exact": 0, "partial": 0, "type": 0}),
    ],
)
def test_each_mode_asks_for_what_it_says(gold: str, predicted: str, f1: dict[str, float]) -> None:
    scores = mode_scores([answer(TEXT, gold=gold, predicted=predicted)]).overall
    assert {mode: score.f1 for mode, score in scores.items()} == f1


def test_spans_that_touch_do_not_overlap() -> None:
    touching = answer("pump-3", gold="pump:A", predicted="-3:A")
    partial = mode_scores([touching]).overall["partial"]
    assert (partial.partial, partial.missed, partial.spurious) == (0, 1, 1)


def test_spans_that_share_one_character_overlap() -> None:
    shared = answer("fix a pump", gold="a_pump:A", predicted="a:A")
    partial = mode_scores([shared]).overall["partial"]
    assert (partial.partial, partial.missed, partial.spurious) == (1, 0, 0)


@pytest.mark.parametrize(("num_shared", "partial"), [(2, 0), (3, 1)])
def test_an_overlap_counts_from_1_percent_of_gold_on(num_shared: int, partial: int) -> None:
    gold, predicted = (Span(0, 250, "A"),), (Span(0, num_shared, "A"),)
    modes = mode_scores([of_spans("x" * 250, gold, predicted)]).overall
    assert (modes["partial"].partial, modes["type"].correct) == (partial, partial)


def test_lines_without_entities_are_no_error() -> None:
    scores = mode_scores([answer("the")])
    assert scores.overall["strict"].f1 == 0
    assert scores.by_label == {}


@pytest.mark.parametrize("seed", range(20))
def test_all_modes_equal_nervaluates_own_sums(seed: int) -> None:
    answers = random_answers(seed)
    rows = [
        [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in line] for line in lines]
        for lines in (gold_of(answers), predicted_of(answers))
    ]
    labels = labels_of(gold_of(answers), predicted_of(answers))
    theirs = Evaluator(*rows, tags=labels, loader="dict").evaluate()
    ours = mode_scores(answers)
    assert list(ours.by_label) == labels
    for mode, name in MODES.items():
        assert_equal(ours.overall[mode], theirs["overall"][name])
        for label in labels:
            assert_equal(ours.by_label[label][mode], theirs["entities"][label][name])


def assert_equal(ours: ModeScore, theirs: object) -> None:
    for name, value in asdict(ours).items():
        assert getattr(theirs, name) == pytest.approx(value)


def test_many_labels_cost_no_more_than_the_entities_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    evaluate = StrictEvaluation.evaluate

    def counted(*arguments: Any) -> Any:
        seen.append(max(1, len(arguments[1])) * max(1, len(arguments[2])))
        return evaluate(*arguments)

    monkeypatch.setattr(StrictEvaluation, "evaluate", counted)
    text = " ".join(f"w{n:02}" for n in range(60))
    spans = tuple(Span(4 * n, 4 * n + 3, f"L{n}") for n in range(60))
    mode_scores([of_spans(text, spans, spans)] * 5)
    assert sum(seen) <= 2 * 5 * 60, "once for all labels, once for its own"
