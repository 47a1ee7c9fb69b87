"""Owns the four ways of counting an entity as right, by nervaluate.

strict asks for label and borders, exact for borders only, partial gives half for an overlap
whatever the label, type asks for the label and an overlap (SemEval 2013, task 9.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from nervaluate import Evaluator

from serve.bootstrap import labels_of
from serve.examples import Span
from train.evaluation.answers import Answer, gold_of, predicted_of

MODES = {"strict": "strict", "exact": "exact", "partial": "partial", "type": "ent_type"}
"""Our names of nervaluate's."""


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


class _Row(TypedDict):
    label: str
    start: int
    end: int


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
    gold, predicted = gold_of(answers), predicted_of(answers)
    labels = labels_of(gold, predicted)
    rows = [[_rows(spans) for spans in lines] for lines in (gold, predicted)]
    results = Evaluator(*rows, tags=labels, loader="dict").evaluate()
    by_label = {label: _scores(results["entities"][label]) for label in labels}
    return ModeScores(_scores(results["overall"]), by_label)


def _rows(spans: Iterable[Span]) -> list[_Row]:
    """Return spans as nervaluate takes them: its ends are inclusive."""
    return [_Row(label=s.label, start=s.start, end=s.end - 1) for s in spans]


def _scores(results: dict[str, Any]) -> dict[str, ModeScore]:
    names = ModeScore.__dataclass_fields__
    return {
        mode: ModeScore(**{name: getattr(results[theirs], name) for name in names})
        for mode, theirs in MODES.items()
    }
