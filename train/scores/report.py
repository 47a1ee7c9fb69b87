"""Owns how figures are shown: the tables a user reads and the JSON beside them, from one source.

Averages: *micro* counts everything together; *macro* is the plain mean, of the labels gold has for
entities and of all tags seen for words; *weighted* is the mean weighted by support.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from serve.commands import deliver, say
from serve.scoring import EntityScores, Score
from train.config import TrainConfig
from train.scores.evaluate import Evaluation

MODE = "strict: label, start and end all equal gold's"


class Figures(TypedDict):
    """One row of a report; precision, recall and F1 in [0, 1]."""

    precision: float
    recall: float
    f1: float
    support: int


class ReportJson(TypedDict):
    """One report: a row for each label or tag, and their averages."""

    rows: dict[str, Figures]
    micro: Figures
    macro: Figures
    weighted: Figures


class EvaluationJson(TypedDict):
    """Both reports of one split."""

    num_lines: int
    mode: str
    entities: ReportJson
    words: ReportJson


def evaluation_json(evaluation: Evaluation) -> EvaluationJson:
    """Return an evaluation as a JSON object."""
    return EvaluationJson(
        num_lines=evaluation.num_lines,
        mode=MODE,
        entities=entity_report(evaluation.entities),
        words=word_report(evaluation.words),
    )


def show(evaluations: Mapping[str, Evaluation], config: TrainConfig) -> None:
    """Print a run's figures by split, and say where its checkpoint lies.

    In a process beside the first there are none, and nothing is said.

    Raises:
        OSError: If standard output takes no more.
    """
    if not evaluations:
        return
    if config.json:
        deliver(json.dumps({k: evaluation_json(e) for k, e in evaluations.items()}, indent=2))
    else:
        deliver("\n".join(format_evaluation(name, e) for name, e in evaluations.items()))
    say(f"checkpoint: {config.output}")


def entity_report(entities: EntityScores) -> ReportJson:
    """Return the scores of entities as a JSON object."""
    in_gold = [score for score in entities.by_label.values() if score.num_gold]
    return _report(entities.by_label, in_gold)


def word_report(words: dict[str, Score]) -> ReportJson:
    """Return the scores of word tags as a JSON object; micro is accuracy."""
    return _report(words, list(words.values()))


def format_evaluation(split: str, evaluation: Evaluation) -> str:
    """Return the tables of one split as text."""
    figures = evaluation_json(evaluation)
    lines = [f"{split}: {evaluation.num_lines} lines", "", f"entities ({MODE})"]
    lines += _table(figures["entities"], ("micro", "macro"))
    lines += ["", "tags of words (micro = accuracy)"]
    lines += _table(figures["words"], ("micro", "macro", "weighted"))
    return "\n".join(lines) + "\n"


def _report(scores: dict[str, Score], macro_over: Sequence[Score]) -> ReportJson:
    rows = {name: figures_of(score) for name, score in scores.items()}
    together = Score(
        sum(score.num_correct for score in scores.values()),
        sum(score.num_predicted for score in scores.values()),
        sum(score.num_gold for score in scores.values()),
    )
    return ReportJson(
        rows=rows,
        micro=figures_of(together),
        macro=_mean(macro_over, [1] * len(macro_over)),
        weighted=_mean(macro_over, [score.num_gold for score in macro_over]),
    )


def figures_of(score: Score) -> Figures:
    """Return a score as a row of a report."""
    return Figures(
        precision=score.precision, recall=score.recall, f1=score.f1, support=score.num_gold
    )


def _mean(scores: Sequence[Score], weights: Sequence[int]) -> Figures:
    total = sum(weights) or 1
    pairs = list(zip(scores, weights, strict=True))
    return Figures(
        precision=sum(score.precision * weight for score, weight in pairs) / total,
        recall=sum(score.recall * weight for score, weight in pairs) / total,
        f1=sum(score.f1 * weight for score, weight in pairs) / total,
        support=sum(score.num_gold for score in scores),
    )


def _table(report: ReportJson, averages: Sequence[str]) -> list[str]:
    means = {"micro": report["micro"], "macro": report["macro"], "weighted": report["weighted"]}
    rows = {**report["rows"], **{f"{name} avg": means[name] for name in averages}}
    width = max(map(len, rows))
    lines = [f"{'':{width}}  precision  recall      f1  support"]
    for name, row in rows.items():
        lines.append(
            f"{name:>{width}}  {row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}"
            f"  {row['support']:7d}"
        )
    return lines
