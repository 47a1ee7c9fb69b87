"""Owns what a version is asked, and how long it may take over that.

Nothing is known of the speed of a version that has not answered on this server yet: a large model
on one core takes seconds for all `LINES`, and it may be warming up. So its first answer may take as
long as a start. Later ones are few lines, and one only where those would take long; they may take
the time of a canary, or longer if the version never was that quick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from serve.supervisor.answers import Known
from serve.supervisor.patience import Patience
from serve.versions.probes import LINES

_SLACK = 3.0
"""How much longer than its quickest answer, line for line, a version may take."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a version is asked.

    Attributes:
        texts: The lines.
        timeout_s: How long the answer may take.
        line_s: What a line took in its quickest answer so far; infinite before the first.
    """

    texts: tuple[str, ...]
    timeout_s: float
    line_s: float = math.inf

    @property
    def is_first(self) -> bool:
        """Whether the version has not answered yet."""
        return self.line_s == math.inf


def first_question(patience: Patience) -> Question:
    """Return what a version is asked that has not answered yet."""
    return Question(LINES, patience.ready_s)


def next_question(asked: Question, latency_s: float, known: Known, patience: Patience) -> Question:
    """Return what a version is asked after it has answered.

    Args:
        asked: What it answered.
        latency_s: How long that took.
        known: What it must answer.
        patience: How long a canary may take.
    """
    line_s = min(asked.line_s, latency_s / len(asked.texts))
    texts, limit_s = known.asked(), patience.canary_timeout_s
    if _SLACK * line_s * len(texts) > limit_s:
        texts = texts[:1]
    return Question(texts, max(limit_s, _SLACK * line_s * len(texts)), line_s)
