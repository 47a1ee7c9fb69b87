"""Owns the doubt about new labels: whether they call the same things by the names the old ones do.

Where new lines and the champion mark a span with equal borders, both name it. How often the names
agree hardly depends on what the lines are about, but on whose labels they are: on mwo2kg 96 to 99 %
in each month of the simulated year, also on lines about a machine that the champion never saw, and
0 to 1 % where the labels were mixed up (python -m benchmarks.year). So a slice is doubted when
fewer names agree than on the old test lines, by more than a tenth of them and more than chance
explains.

Each slice is looked at by itself: good lines beside it cannot hide it. Spans that are missing, or
that the champion does not find, say nothing here; the contest is for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binom

from train.evaluation.answers import Answer
from train.evaluation.pairs import Kind, kinds

MAX_DROP = 0.1
SIGNIFICANCE = 0.01


@dataclass(frozen=True, slots=True)
class Agreement:
    """How gold and a tagger name the spans that both mark.

    Attributes:
        name: Of the lines.
        num_spans: Spans with equal borders.
        num_agreed: Those with equal labels.
    """

    name: str
    num_spans: int
    num_agreed: int

    @property
    def share(self) -> float:
        """Share of the spans with equal labels, in [0, 1]; 1 where there is no span."""
        return self.num_agreed / self.num_spans if self.num_spans else 1.0


def agreement(name: str, answers: Sequence[Answer]) -> Agreement:
    """Return how gold and a tagger agree on lines."""
    found = kinds(answers)
    return Agreement(name, found[Kind.RIGHT] + found[Kind.LABEL], found[Kind.RIGHT])


def doubt(new: Agreement, old: Agreement) -> str | None:
    """Return why a slice's labels are doubted, if they are.

    Args:
        new: Of the slice.
        old: Of the old test lines.
    """
    num_wrong = new.num_spans - new.num_agreed
    # Not 0 of few: a champion without an error there would doubt the first that comes.
    expected = (old.num_spans - old.num_agreed + 1) / (old.num_spans + 2)
    p_value = float(binom.sf(num_wrong - 1, new.num_spans, expected))  # so many or more
    if old.share - new.share <= MAX_DROP or p_value > SIGNIFICANCE:
        return None
    return (
        f"doubts the labels of {new.name}: of {new.num_spans} spans that the champion marks too, "
        f"{new.share:.1%} have its label, on the old test {old.share:.1%}"
    )
