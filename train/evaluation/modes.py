"""Owns the four ways of counting an entity as right, by nervaluate.

strict asks for label and borders, exact for borders only, partial gives half for an overlap
whatever the label, type asks for the label and an overlap (SemEval 2013, task 9.1). An overlap is
one of at least 1 % of the gold entity's characters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nervaluate import Evaluator
from nervaluate.entities import Entity, EvaluationResult

from serve.examples import Span
from train.evaluation.answers import Answer

MODES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}
"""Our names of nervaluate's."""
_STRATEGIES = Evaluator([], [], tags=[], loader="dict").strategies
_COUNTS = ("correct", "incorrect", "partial", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class ModeScore:
    """Counts and figures of one mode, as nervaluate defines them.

    Attributes:
        correct: Predicted entities that count as right.
        incorrect: Those that overlap gold and do not.
        partial: Those that count half; in mode partial only.
        missed: Gold entities that nothing predicted overlaps.
        spurious: Predicted entities that overlap no gold.
        precision: In [0, 1].
        recall: In [0, 1].
        f1: In [0, 1].
    """

    correct: int
    incorrect: int
    partial: int
    missed: int
    spurious: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ModeScores:
    """Every mode's scores, by our names.

    Attributes:
        overall: Of all labels together.
        by_label: Of each label seen in gold or prediction, sorted by label.
    """

    overall: dict[str, ModeScore]
    by_label: dict[str, dict[str, ModeScore]]


def mode_scores(answers: Sequence[Answer]) -> ModeScores:
    """Score answers in each mode.

    Args:
        answers: At least one.
    """
    overall, by_label = _Sum(), defaultdict[str, _Sum](_Sum)
    for gold, predicted in (part for a in answers for part in _parts(a.gold, a.predicted)):
        overall.add(gold, predicted)
        for label in {entity.label for entity in (*gold, *predicted)}:
            of_label = ([e for e in side if e.label == label] for side in (gold, predicted))
            by_label[label].add(*of_label)
    return ModeScores(overall.scores(), {k: s.scores() for k, s in sorted(by_label.items())})


class _Sum:
    """The counts of each mode, added up."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {mode: Counter() for mode in MODES}

    def add(self, gold: list[Entity], predicted: list[Entity]) -> None:
        for mode, theirs in MODES.items():
            found, _ = _STRATEGIES[theirs].evaluate(gold, predicted, [])
            self._counts[mode].update({name: getattr(found, name) for name in _COUNTS})

    def scores(self) -> dict[str, ModeScore]:
        scores: dict[str, ModeScore] = {}
        for mode, counts in self._counts.items():
            found = EvaluationResult(**counts)
            found.compute_metrics(partial_or_type=mode in ("partial", "type"))
            names = ModeScore.__dataclass_fields__
            scores[mode] = ModeScore(**{name: getattr(found, name) for name in names})
        return scores


def _parts(
    gold: Iterable[Span], predicted: Iterable[Span]
) -> Iterator[tuple[list[Entity], list[Entity]]]:
    """Yield the entities of a line in parts that no entity reaches out of.

    nervaluate holds each entity against each: that takes time by the square of what it is given.
    """
    part: tuple[list[Entity], list[Entity]] = ([], [])
    part_end = 0
    sides = [(span, 0) for span in gold] + [(span, 1) for span in predicted]
    for span, side in sorted(sides):
        if span.start >= part_end and any(part):
            yield part
            part = ([], [])
        part[side].append(Entity(span.label, span.start, span.end - 1))  # its ends are inclusive
        part_end = max(part_end, span.end)
    if any(part):
        yield part
