"""Owns the answers of a tagger beside gold: what every figure of an evaluation is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.entities import Entity
from serve.examples import Span


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A labelled line and what a tagger said of it.

    Attributes:
        place: Where the line stands: file and line, or file and JSON path.
        text: The line.
        gold: Its gold spans.
        entities: The tagger's entities, with the scores that serving gives them.
        plain_entities: The same with scores at temperature 1.
        offsets: Character offsets of its words. Shape: (W, 2)
        gold_tags: Gold tag of each word. Shape: (W,)
        tags: The tagger's tags. Shape: (W,)
        scores: Probability of each of them, as serving gives it, in [0, 1]. Shape: (W,)
        plain_scores: The same at temperature 1. Shape: (W,)
    """

    place: str
    text: str
    gold: tuple[Span, ...]
    entities: tuple[Entity, ...]
    plain_entities: tuple[Entity, ...]
    offsets: tuple[tuple[int, int], ...]
    gold_tags: tuple[str, ...]
    tags: tuple[str, ...]
    scores: tuple[float, ...]
    plain_scores: tuple[float, ...]

    @property
    def predicted(self) -> tuple[Span, ...]:
        """The tagger's entities as spans."""
        return tuple(Span(e.start, e.end, e.label) for e in self.entities)

    @property
    def wrong_words(self) -> tuple[int, ...]:
        """Words whose tag is not gold's."""
        pairs = zip(self.gold_tags, self.tags, strict=True)
        return tuple(word for word, (gold, tag) in enumerate(pairs) if gold != tag)


def gold_of(answers: Sequence[Answer]) -> list[tuple[Span, ...]]:
    """Return the gold spans of each line."""
    return [answer.gold for answer in answers]


def texts_of(answers: Sequence[Answer]) -> list[str]:
    """Return the text of each line."""
    return [answer.text for answer in answers]


def predicted_of(answers: Sequence[Answer]) -> list[tuple[Span, ...]]:
    """Return the predicted spans of each line."""
    return [answer.predicted for answer in answers]
