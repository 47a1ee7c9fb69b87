"""Owns an assessment's JSON: every figure that the terminal or the page shows, and more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from serve.scoring import Score
from train.evaluation.assess import Assessment
from train.evaluation.pairs import Pair
from train.evaluation.significance import Difference
from train.evaluation.worst import WorstLine
from train.scores.report import Figures, entity_report, figures_of, word_report


def assessment_json(assessment: Assessment) -> dict[str, Any]:
    """Return an assessment as a JSON object."""
    a = assessment
    novelty = None if a.novelty is None else _groups(a.novelty)
    return {
        "num_lines": a.num_lines,
        "modes": asdict(a.modes),
        "entities": entity_report(a.entities),
        "f1_intervals": {
            label: None if interval is None else list(interval)
            for label, interval in a.f1_intervals.items()
        },
        "words": word_report(a.words),
        "by_line_words": _groups(a.line_lengths),
        "by_entity_words": _groups(a.entity_lengths),
        "by_novelty": novelty,
        "kinds": {str(kind): num for kind, num in a.kinds.items()},
        "confusion": [
            {"gold": gold, "predicted": predicted, "num": num}
            for (gold, predicted), num in a.confusion.items()
        ],
        "reliability": {
            "temperature": a.trust.temperature,
            **{
                name: {"at_temperature_1": asdict(plain), "as_served": asdict(served)}
                for name, (plain, served) in {
                    "words": a.trust.words,
                    "entities": a.trust.entities,
                }.items()
            },
        },
        "worst": [_worst(line) for line in a.worst],
        "against": None
        if a.against is None
        else {
            "overall": difference_json(a.against.overall),
            "by_label": {k: difference_json(d) for k, d in a.against.by_label.items()},
        },
    }


def difference_json(difference: Difference) -> dict[str, Any]:
    """Return the F1 of two taggers as a JSON object; a gain is a negative loss."""
    change = difference.change
    return {
        **asdict(change),
        "loss_points": change.loss_points,
        "p_value": difference.p_value,
    }


def _groups(scores: Mapping[str, Score]) -> dict[str, Figures]:
    return {name: figures_of(score) for name, score in scores.items()}


def _worst(line: WorstLine) -> dict[str, Any]:
    return {
        "place": line.place,
        "text": line.text,
        "weight": line.weight,
        "gold": [asdict(span) for span in line.gold],
        "predicted": [entity.to_json() for entity in line.entities],
        "errors": [_error(pair) for pair in line.errors],
    }


def _error(pair: Pair) -> dict[str, Any]:
    return {"kind": str(pair.kind), **asdict(pair)}
