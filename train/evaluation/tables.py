"""Owns an assessment's tables: head and rows, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from serve.scoring import Score
from train.evaluation.assess import ALL, Assessment, Trust
from train.evaluation.significance import Difference, Differences, p_shown
from train.scores.report import word_report
from train.scores.tables import Table

INTERVAL = "95 % interval"


def modes(a: Assessment) -> Table:
    """Return the four ways of counting an entity as right."""
    head = ("mode", "precision", "recall", "F1", "correct", "incorrect", "partial", "missed",
            "spurious")  # fmt: skip
    rows = []
    for mode, s in a.modes.overall.items():
        counts = (s.correct, s.incorrect, s.partial, s.missed, s.spurious)
        rows.append([mode, *_four_digits(s.precision, s.recall, s.f1), *map(str, counts)])
    return Table(head, rows)


def labels(a: Assessment) -> Table:
    """Return all labels together and each: strict, and F1 in two other modes.

    Within a label, exact is the same as strict. An interval that the lines cannot tell is "-".
    """
    head = ("label", "entities", "precision", "recall", "F1", INTERVAL, "partial", "type")
    scores = {ALL: a.entities.micro, **a.entities.by_label}
    by_mode = {ALL: a.modes.overall, **a.modes.by_label}
    rows = []
    for label, score in scores.items():
        ends = a.f1_intervals[label]
        others = [by_mode[label][mode].f1 for mode in ("partial", "type")]
        interval = "-" if ends is None else "{:.3f}-{:.3f}".format(*ends)
        rows.append([label, *_score(score), interval, *_four_digits(*others)])
    return Table(head, rows)


def groups(name: str, scores: Mapping[str, Score]) -> Table:
    """Return the strict scores of groups of lines or entities."""
    head = (name, "entities", "precision", "recall", "F1")
    return Table(head, [[group, *_score(score)] for group, score in scores.items()])


def kinds(a: Assessment) -> Table:
    """Return what became of the entities."""
    return Table(("entities", "number"), [[str(kind), str(num)] for kind, num in a.kinds.items()])


def trust(trust: Trust) -> Table:
    """Return the errors of scores, before and after temperature scaling."""
    pairs = {"words' tags": trust.words, "entities": trust.entities}
    rows = [
        [name, str(found.num), at, *_four_digits(found.ece, found.brier)]
        for name, both in pairs.items()
        for at, found in zip(("1", f"{trust.temperature:.3g}"), both, strict=True)
    ]
    if trust.temperature == 1.0:
        rows = rows[::2]
    return Table(("scores of", "number", "temperature", "ECE", "Brier"), rows)


def word_tags(a: Assessment) -> Table:
    """Return the report of word tags, `O` among them, and its averages; micro is accuracy."""
    report = word_report(a.words)
    averages = {"micro": report["micro"], "macro": report["macro"], "weighted": report["weighted"]}
    rows = [
        [name, str(row["support"]), *_four_digits(row["precision"], row["recall"], row["f1"])]
        for name, row in {**report["rows"], **averages}.items()
    ]
    return Table(("tag of words", "words", "precision", "recall", "F1"), rows)


def differences(found: Differences, first: str = "before", second: str = "after") -> Table:
    """Return both taggers' F1 in points, the gain, its interval and its p-value, by label."""
    head = ("label", "entities", first, second, "gain", INTERVAL, "p")
    every = {ALL: found.overall, **found.by_label}
    return Table(head, [_difference(name, difference) for name, difference in every.items()])


def _difference(name: str, difference: Difference) -> list[str]:
    change = difference.change
    low, high = change.interval_points
    points = (f"{100 * change.before:.2f}", f"{100 * change.after:.2f}")
    gain = (f"{0 - change.loss_points:+.2f}", f"{0 - high:+.2f} to {0 - low:+.2f}")
    return [name, str(change.num_gold), *points, *gain, p_shown(difference.p_value, 3)]


def _score(score: Score) -> list[str]:
    return [str(score.num_gold), *_four_digits(score.precision, score.recall, score.f1)]


def _four_digits(*figures: float) -> Iterable[str]:
    return (f"{figure:.4f}" for figure in figures)
