"""Owns the assessment of a tagger: every figure of `train evaluate`, from one set of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.bootstrap import Interval, f1_intervals, labels_of, text_counts
from serve.examples import Example
from serve.scoring import EntityScores, Score, score_entities
from train.evaluation.answers import Answer, gold_of, predicted_of, texts_of
from train.evaluation.groups import by_entity_length, by_line_length, by_novelty
from train.evaluation.modes import ModeScores, mode_scores
from train.evaluation.pairs import Kind, confusion, kinds
from train.evaluation.reliability import Reliability, of_entities, of_words
from train.evaluation.significance import Differences, differences
from train.evaluation.worst import WorstLine, worst_lines
from train.scores.evaluate import score_tags

ALL = "all labels"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trust:
    """How far scores can be believed, before and after temperature scaling.

    Attributes:
        temperature: What the tagger divides its logits by.
        words: Of words' tags, at temperature 1 and as served.
        entities: Of predicted entities, likewise.
    """

    temperature: float
    words: tuple[Reliability, Reliability]
    entities: tuple[Reliability, Reliability]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assessment:
    """What a tagger gets right on labelled lines and what not.

    Attributes:
        num_lines: Lines it was asked.
        modes: Entity scores in nervaluate's four modes.
        entities: Entity scores, strict.
        f1_intervals: Between which F1 the true one lies, with 95 % confidence, in [0, 1]: of
            `ALL` and of each label, strict; None where the lines cannot tell.
        words: Scores of word tags.
        line_lengths: Entity scores of lines by their number of words.
        entity_lengths: Of entities by their number of words.
        novelty: Of entities by what the train lines knew of them; None without train lines.
        kinds: How many entities are right, and what is wrong with the others.
        confusion: Gold and predicted label of each; None for spurious and missed.
        trust: How far scores can be believed.
        worst: The lines with the worst errors.
        against: The other tagger's F1 and this one's, where there is another.
    """

    num_lines: int
    modes: ModeScores
    entities: EntityScores
    f1_intervals: dict[str, Interval | None]
    words: dict[str, Score]
    line_lengths: dict[str, Score]
    entity_lengths: dict[str, Score]
    novelty: dict[str, Score] | None
    kinds: dict[Kind, int]
    confusion: dict[tuple[str | None, str | None], int]
    trust: Trust
    worst: list[WorstLine]
    against: Differences | None


def assess(
    answers: Sequence[Answer],
    *,
    temperature: float = 1.0,
    train: Sequence[Example] | None = None,
    other: Sequence[Answer] | None = None,
) -> Assessment:
    """Take every figure.

    Args:
        answers: The tagger's, at least one.
        temperature: What it divides its logits by.
        train: The lines it was trained on, where they are known.
        other: Another tagger's answers to the same lines, to compare with.
    """
    gold, predicted, texts = gold_of(answers), predicted_of(answers), texts_of(answers)
    return Assessment(
        num_lines=len(answers),
        modes=mode_scores(answers),
        entities=score_entities(gold, predicted),
        f1_intervals=_intervals(answers),
        words=score_tags([a.gold_tags for a in answers], [a.tags for a in answers]),
        line_lengths=by_line_length(answers),
        entity_lengths=by_entity_length(answers),
        novelty=None if train is None else by_novelty(answers, train),
        kinds=kinds(answers),
        confusion=confusion(answers),
        trust=_trust(answers, temperature),
        worst=worst_lines(answers),
        against=None if other is None else differences(gold, predicted_of(other), predicted, texts),
    )


def _intervals(answers: Sequence[Answer]) -> dict[str, Interval | None]:
    gold, predicted = gold_of(answers), predicted_of(answers)
    labels = labels_of(gold, predicted)
    found = f1_intervals(text_counts(gold, predicted, labels, texts_of(answers)))
    return dict(zip([ALL, *labels], found, strict=True))


def _trust(answers: Sequence[Answer], temperature: float) -> Trust:
    plain, served = True, False
    return Trust(
        temperature=temperature,
        words=(of_words(answers, plain=plain), of_words(answers, plain=served)),
        entities=(of_entities(answers, plain=plain), of_entities(answers, plain=served)),
    )
