"""Tests entity precision, recall and F1."""

from __future__ import annotations

import pytest
import seqeval.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.entities import decode_entities
from serve.examples import Span
from serve.scoring import Score, score_entities

WELL_FORMED = st.lists(st.sampled_from(["O", "B-x", "B-y", "B-x I-x", "B-y I-y I-y"]), max_size=8)


def to_spans(tags: list[str]) -> list[Span]:
    offsets = [(word, word + 1) for word in range(len(tags))]
    found = decode_entities(tags, [1.0] * len(tags), offsets)
    return [Span(entity.start, entity.end, entity.label) for entity in found]


def test_only_equal_spans_with_equal_labels_count() -> None:
    gold = [[Span(0, 3, "x"), Span(5, 9, "y")], [Span(0, 3, "x")]]
    predicted = [[Span(0, 3, "x"), Span(5, 8, "y")], [Span(0, 3, "y")]]
    scores = score_entities(gold, predicted)
    assert scores.micro == Score(num_correct=1, num_predicted=3, num_gold=3)
    assert scores.by_label == {"x": Score(1, 1, 2), "y": Score(0, 2, 1)}
    assert scores.micro.precision == pytest.approx(1 / 3)
    assert scores.by_label["x"].f1 == pytest.approx(2 / 3)


def test_a_span_of_another_text_is_no_match() -> None:
    assert score_entities([[Span(0, 1, "x")], []], [[], [Span(0, 1, "x")]]).micro.f1 == 0.0


def test_nothing_to_find_and_nothing_found_is_zero() -> None:
    scores = score_entities([[]], [[]])
    assert (scores.micro.precision, scores.micro.recall, scores.micro.f1) == (0.0, 0.0, 0.0)


def test_a_label_without_gold_counts_in_the_whole() -> None:
    scores = score_entities([[Span(0, 1, "x")]], [[Span(0, 1, "x"), Span(2, 3, "y")]])
    assert scores.micro.f1 == pytest.approx(2 / 3)


def test_unequal_numbers_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected predictions for 2 texts, got 1"):
        score_entities([[], []], [[]])


@settings(deadline=None)
@given(st.lists(st.tuples(WELL_FORMED, WELL_FORMED), min_size=1, max_size=4))
def test_well_formed_tags_score_as_seqeval_scores_them(
    pairs: list[tuple[list[str], list[str]]],
) -> None:
    flat = [[" ".join(side).split() for side in pair] for pair in pairs]
    gold, predicted = ([_padded(pair[i], pair) for pair in flat] for i in (0, 1))
    if not any(tag != "O" for tags in gold + predicted for tag in tags):
        return  # seqeval warns that nothing is defined
    ours = score_entities(list(map(to_spans, gold)), list(map(to_spans, predicted))).micro.f1
    theirs = seqeval.metrics.f1_score(gold, predicted, zero_division=0)
    assert ours == pytest.approx(theirs)


def _padded(tags: list[str], pair: list[list[str]]) -> list[str]:
    return tags + ["O"] * (max(map(len, pair)) - len(tags))
