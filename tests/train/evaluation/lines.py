"""Makes answers by hand: `answer("fix oil pump", gold="fix:A pump:B", predicted="oil pump:B")`."""

from __future__ import annotations

import random
from collections.abc import Sequence

from serve.entities import Entity
from serve.examples import Example, Span
from train.evaluation.answers import Answer
from train.task.collate import align_tags


def spans(text: str, marked: str) -> tuple[Span, ...]:
    """Return the spans of phrases in a text, written `phrase:LABEL` with _ for blanks."""
    found = []
    for part in marked.split():
        phrase, label = part.replace("_", " ").split(":")
        start = text.index(phrase)
        found.append(Span(start, start + len(phrase), label))
    return tuple(sorted(found))


def answer(
    text: str,
    *,
    gold: str = "",
    predicted: str = "",
    place: str = "lines:1",
    scores: Sequence[float] | None = None,
) -> Answer:
    """Return an answer whose words are what stands between blanks."""
    return of_spans(text, spans(text, gold), spans(text, predicted), place, scores)


def of_spans(
    text: str,
    gold: tuple[Span, ...],
    predicted: tuple[Span, ...],
    place: str = "lines:1",
    scores: Sequence[float] | None = None,
) -> Answer:
    """Return an answer with these spans; each word scores 0.9 unless told otherwise."""
    offsets, position = [], 0
    for word in text.split():
        start = text.index(word, position)
        offsets.append((start, position := start + len(word)))
    given = tuple(scores) if scores else (0.9,) * len(offsets)
    entities = tuple(Entity(s.label, s.start, s.end, 0.9) for s in predicted)
    return Answer(
        place=place,
        text=text,
        gold=gold,
        entities=entities,
        plain_entities=entities,
        offsets=tuple(offsets),
        gold_tags=tuple(align_tags(Example(text, gold), offsets)),
        tags=tuple(align_tags(Example(text, predicted), offsets)),
        scores=given,
        plain_scores=given,
    )


def numbered(num: int) -> list[str]:
    """Return so many texts, no two of them equal."""
    return [f"fix hose {i}" for i in range(num)]


def random_answers(seed: int, num_lines: int = 40, labels: str = "ABC") -> list[Answer]:
    """Return answers with random spans of whole words, about half of them right."""
    choose = random.Random(seed)
    answers = []
    for number in range(1, num_lines + 1):
        text = " ".join(choose.choices(["oil", "pump", "leak", "fix"], k=choose.randint(1, 9)))
        gold = _random_spans(choose, text, labels)
        other = _random_spans(choose, text, labels)
        predicted = choose.choice([gold, other, gold[1:], gold[:-1]])
        answers.append(of_spans(text, gold, predicted, f"lines:{number}"))
    return answers


def _random_spans(choose: random.Random, text: str, labels: str) -> tuple[Span, ...]:
    found, start = [], 0
    words = text.split()
    place = 0
    while place < len(words):
        num = min(choose.randint(1, 3), len(words) - place)
        end = start + len(" ".join(words[place : place + num]))
        if choose.random() < 0.6:
            found.append(Span(start, end, choose.choice(labels)))
        place, start = place + num, end + 1
    return tuple(found)
