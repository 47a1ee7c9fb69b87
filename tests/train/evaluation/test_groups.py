"""Scores of lines by length, of entities by length, and of seen and unseen entities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from serve.examples import Example, Span
from serve.scoring import Score, score_entities
from tests.train.evaluation.lines import answer, of_spans, random_answers, spans
from train.evaluation.answers import gold_of, predicted_of
from train.evaluation.groups import Novelty, by_entity_length, by_line_length, by_novelty
from train.evaluation.reliability import of_entities

TEXT = "replace the left oil pump now"


def test_lines_are_grouped_by_their_words() -> None:
    short = answer("fix oil pump now", gold="fix:A", predicted="fix:A")
    long = answer(f"{TEXT} {TEXT}", gold="replace:A", predicted="left:A")
    nothing = answer("")
    found = by_line_length([short, long, short, nothing])
    assert found == {"1-4": Score(2, 2, 2), "9-16": Score(0, 1, 1)}


def test_entities_are_grouped_by_their_words_gold_and_predicted_alike() -> None:
    one = answer(TEXT, gold="replace:A left_oil_pump:B", predicted="replace:A oil_pump:B")
    assert by_entity_length([one]) == {
        "1": Score(1, 1, 1),
        "2": Score(0, 1, 0),
        "3": Score(0, 0, 1),
    }
    six = answer(TEXT, gold="replace_the_left_oil_pump_now:A")
    inside_a_word = answer(TEXT, gold="plac:A")
    assert by_entity_length([six, inside_a_word]) == {"1": Score(0, 0, 1), "over 5": Score(0, 0, 1)}


def test_entities_are_seen_whatever_their_case_but_not_with_another_label() -> None:
    text = "Oil  Pump and hose and belt"
    train = [
        Example(text, spans(text, "hose:B")),
        Example("oil pump", spans("oil pump", "oil_pump:A")),
    ]
    one = answer(text, gold="Oil__Pump:A hose:A belt:A", predicted="Oil__Pump:A hose:B")
    assert by_novelty([one], train) == {
        Novelty.SEEN: Score(1, 2, 1),
        Novelty.OTHER: Score(0, 0, 1),
        Novelty.UNSEEN: Score(0, 0, 1),
    }
    assert by_novelty([one], []) == {Novelty.UNSEEN: Score(1, 2, 3)}


@pytest.mark.parametrize("seed", range(3))
def test_the_groups_of_entities_add_up_to_all(seed: int) -> None:
    answers = random_answers(seed)
    every = score_entities(gold_of(answers), predicted_of(answers)).micro
    train = [Example(a.text, a.gold) for a in answers[::3]]
    for groups in (by_entity_length(answers), by_novelty(answers, train), by_line_length(answers)):
        assert sum(score.num_correct for score in groups.values()) == every.num_correct
        assert sum(score.num_gold for score in groups.values()) == every.num_gold
        assert sum(score.num_predicted for score in groups.values()) == every.num_predicted


class Counted(list[tuple[int, int]]):
    """Words that count how often one of them is looked at."""

    num_looks = 0

    def __getitem__(self, index: object) -> object:
        self.num_looks += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        self.num_looks += len(self)
        return super().__iter__()


def test_a_long_line_of_many_entities_is_grouped_without_comparing_each_with_each() -> None:
    every = tuple(Span(2 * i, 2 * i + 1, "A") for i in range(1000))
    one = of_spans("a " * 1000, every, every)
    words = Counted(one.offsets)
    assert by_entity_length([replace(one, offsets=words)]) == {"1": Score(1000, 1000, 1000)}
    assert 0 < words.num_looks < 100_000, "each with each would be two millions"
    assert of_entities([one], plain=False).num == 1000
