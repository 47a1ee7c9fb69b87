"""Owns entity scores of parts: lines by length, entities by length, entities by what train knew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from serve.examples import Example, Span
from serve.scoring import Score, score_entities
from train.evaluation.answers import Answer, gold_of, predicted_of
from train.formats.words import touched

LINE_WORDS = (4, 8, 16, 32, 64)
"""Largest number of words of each group of lines but the last."""
ENTITY_WORDS = (1, 2, 3, 5)


class Novelty(StrEnum):
    """What the train lines knew of an entity's text; case and blanks do not count."""

    SEEN = "seen with this label"
    OTHER = "seen, with other labels only"
    UNSEEN = "unseen"


def by_line_length(answers: Sequence[Answer]) -> dict[str, Score]:
    """Return the scores of lines by their number of words; groups without lines left out."""
    groups: dict[str, list[Answer]] = {name: [] for name in _names(LINE_WORDS)}
    for answer in answers:
        if answer.offsets:
            groups[_group(len(answer.offsets), LINE_WORDS)].append(answer)
    return {
        name: score_entities(gold_of(group), predicted_of(group)).micro
        for name, group in groups.items()
        if group
    }


def by_entity_length(answers: Sequence[Answer]) -> dict[str, Score]:
    """Return the scores of entities by their number of words, gold's and predicted alike."""

    def group(answer: Answer, span: Span) -> str:
        first_word, end_word = touched(span, answer.offsets)
        return _group(end_word - first_word, ENTITY_WORDS)

    return _by_group(answers, group, _names(ENTITY_WORDS))


def by_novelty(answers: Sequence[Answer], train: Iterable[Example]) -> dict[str, Score]:
    """Return the scores of entities by what the train lines knew of their text."""
    known: dict[str, set[str]] = {}
    for example in train:
        for span in example.spans:
            known.setdefault(_surface(example.text, span), set()).add(span.label)

    def group(answer: Answer, span: Span) -> str:
        labels = known.get(_surface(answer.text, span))
        if labels is None:
            return Novelty.UNSEEN
        return Novelty.SEEN if span.label in labels else Novelty.OTHER

    return _by_group(answers, group, list(Novelty))


def _by_group(
    answers: Sequence[Answer], group: Callable[[Answer, Span], str], names: Sequence[str]
) -> dict[str, Score]:
    """Return each group's scores: equal spans are in equal groups, so right ones stay right."""
    gold: dict[str, list[list[Span]]] = {name: [] for name in names}
    predicted: dict[str, list[list[Span]]] = {name: [] for name in names}
    for answer in answers:
        for lines, spans in ((gold, answer.gold), (predicted, answer.predicted)):
            for name in names:
                lines[name].append([])
            for span in spans:
                lines[group(answer, span)][-1].append(span)
    scores = {name: score_entities(gold[name], predicted[name]).micro for name in names}
    return {str(name): s for name, s in scores.items() if s.num_gold or s.num_predicted}


def _surface(text: str, span: Span) -> str:
    return " ".join(text[span.start : span.end].casefold().split())


def _names(limits: Sequence[int]) -> list[str]:
    lows = [1, *(limit + 1 for limit in limits)]
    pairs = zip(lows, limits, strict=False)  # the last low is that of the open end
    return [*(f"{a}-{b}" if a < b else f"{b}" for a, b in pairs), f"over {limits[-1]}"]


def _group(num_words: int, limits: Sequence[int]) -> str:
    return _names(limits)[sum(num_words > limit for limit in limits)]
