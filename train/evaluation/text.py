"""Owns an assessment's text: what the terminal shows of it."""

from __future__ import annotations

from collections.abc import Iterator

from train.evaluation import tables
from train.evaluation.assess import Assessment
from train.scores.tables import aligned


def assessment_text(name: str, assessment: Assessment) -> str:
    """Return the tables of an assessment.

    Args:
        name: What was asked about what.
        assessment: Its figures.
    """
    return "\n\n".join(_parts(name, assessment))


def _parts(name: str, a: Assessment) -> Iterator[str]:
    yield f"{name}: {a.num_lines} lines, {a.entities.micro.num_gold} entities"
    yield aligned(tables.modes(a))
    yield "strict, and F1 in the modes partial and type\n" + aligned(tables.labels(a))
    yield aligned(tables.kinds(a))
    yield aligned(tables.groups("words of the line", a.line_lengths))
    yield aligned(tables.groups("words of the entity", a.entity_lengths))
    if a.novelty is not None:
        yield aligned(tables.groups("in the train lines", a.novelty))
    yield aligned(tables.trust(a.trust))
    yield aligned(tables.word_tags(a))
    if a.against is not None:
        yield aligned(tables.differences(a.against, "other", "this"))
