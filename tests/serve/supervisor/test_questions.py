"""Tests what a version is asked and how long it may take, by how quick it was."""

from __future__ import annotations

import pytest

from serve.supervisor.answers import Known
from serve.supervisor.patience import Patience
from serve.supervisor.questions import Question, first_question, next_question
from serve.versions.probes import LINES

PATIENCE = Patience()
KNOWN = Known({line: [] for line in LINES})


def after(line_s: float, question: Question | None = None) -> Question:
    """Return what is asked after an answer that took so long for each line."""
    asked = question or first_question(PATIENCE)
    return next_question(asked, line_s * len(asked.texts), KNOWN, PATIENCE)


def test_a_first_answer_may_take_as_long_as_a_start() -> None:
    first = first_question(PATIENCE)
    assert (first.texts, first.timeout_s, first.is_first) == (LINES, PATIENCE.ready_s, True)
    assert not after(1e-3).is_first


@pytest.mark.parametrize(
    ("line_s", "num_lines", "timeout_s"),
    [(0.005, 3, 0.75), (0.08, 3, 0.75), (0.2, 1, 0.75), (0.8, 1, 2.4)],
)
def test_a_quick_model_has_the_time_of_a_canary_and_a_slow_one_fewer_lines_or_more(
    line_s: float, num_lines: int, timeout_s: float
) -> None:
    question = after(line_s)
    assert len(question.texts) == num_lines
    assert question.timeout_s == pytest.approx(timeout_s)


def test_a_first_answer_that_was_slow_by_chance_is_forgotten_and_a_quick_one_is_not() -> None:
    slow = after(2.0)
    quick = after(0.005, slow)
    assert (slow.timeout_s, quick.timeout_s) == (pytest.approx(6.0), PATIENCE.canary_timeout_s)
    assert after(2.0, quick) == quick
