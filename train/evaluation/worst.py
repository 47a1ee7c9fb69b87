"""Owns which errors are the worst: the lines whose wrong words the tagger was surest of.

A line weighs the sum of the scores of its wrong words' tags. So a doubtful border weighs little,
and what heads the list is either a gap in the tagger's knowledge or an error of gold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serve.entities import Entity
from serve.examples import Span
from train.evaluation.answers import Answer
from train.evaluation.pairs import Kind, Pair, pair_up

NUM_WORST = 100


@dataclass(frozen=True, slots=True)
class WorstLine:
    """A line with errors.

    Attributes:
        place: Where it stands: file and line, or file and JSON path.
        text: The line.
        weight: Sum of the scores of its wrong words' tags.
        gold: Its gold spans.
        entities: The tagger's.
        errors: The pairs that are not right.
    """

    place: str
    text: str
    weight: float
    gold: tuple[Span, ...]
    entities: tuple[Entity, ...]
    errors: tuple[Pair, ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is wrong, each kind once."""
        return tuple(dict.fromkeys(pair.kind for pair in self.errors))


def worst_lines(answers: Sequence[Answer]) -> list[WorstLine]:
    """Return the worst lines, worst first; no more than `NUM_WORST`."""
    lines = [line for answer in answers if (line := _line(answer)).errors]
    return sorted(lines, key=lambda line: -line.weight)[:NUM_WORST]


def _line(answer: Answer) -> WorstLine:
    pairs = pair_up(answer.gold, answer.predicted)
    return WorstLine(
        place=answer.place,
        text=answer.text,
        weight=sum(answer.scores[word] for word in answer.wrong_words),
        gold=answer.gold,
        entities=answer.entities,
        errors=tuple(pair for pair in pairs if pair.kind is not Kind.RIGHT),
    )
