"""Owns the doubt about new labels: whether they call the same things by the names the old ones do.

Where new lines and the champion mark a span with equal borders, both name it. How often the names
agree hardly depends on what the lines are about, but on whose labels they are: on mwo2kg 96 to 99 %
in each month of the simulated year, also on lines about a machine that the champion never saw, and
0 to 1 % where the labels were mixed up (python -m benchmarks.year). So a slice is doubted when
fewer names agree than on the old test lines, by more than a tenth of them and more than chance
explains.

One label mixed up with another moves the names of all spans by little, so what the champion calls
by one label is looked at by itself, too: there the agreement has to fall by more than a half. A
champion that errs so often on what is new to it would not be much of one.

Each slice is looked at by itself: good lines beside it cannot hide it. Spans that are missing, or
that the champion does not find, say nothing here; the contest is for those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binom

from serve.examples import fold
from train.evaluation.answers import Answer
from train.evaluation.pairs import Kind, pair_up

MAX_DROP, MAX_LABEL_DROP = 0.1, 0.5
"""Of the share of names that agree: of all spans, and of those that the champion calls alike."""
SIGNIFICANCE = 0.01


@dataclass(frozen=True, slots=True)
class Agreement:
    """How gold and a tagger name the spans that both mark.

    Attributes:
        name: Of the lines, or of the label.
        num_spans: Spans with equal borders.
        num_agreed: Those with equal labels.
        labels: The same for each label that the tagger gives, by label.
    """

    name: str
    num_spans: int
    num_agreed: int
    labels: tuple[Agreement, ...] = ()

    @property
    def share(self) -> float:
        """Share of the spans with equal labels, in [0, 1]; 1 where there is no span."""
        return self.num_agreed / self.num_spans if self.num_spans else 1.0


def agreement(name: str, answers: Sequence[Answer]) -> Agreement:
    """Return how gold and a tagger agree on lines; those that repeat one another count once."""
    spans: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    said = dict.fromkeys((fold(a.text), a.gold, a.predicted) for a in answers)
    for pair in (pair for _, gold, predicted in said for pair in pair_up(gold, predicted)):
        if pair.predicted and pair.kind in (Kind.RIGHT, Kind.LABEL):
            spans[pair.predicted.label] += 1
            agreed[pair.predicted.label] += pair.kind is Kind.RIGHT
    labels = (Agreement(label, spans[label], agreed[label]) for label in sorted(spans))
    return Agreement(name, spans.total(), agreed.total(), tuple(labels))


def doubt(new: Agreement, old: Agreement) -> str | None:
    """Return why a slice's labels are doubted, if they are.

    Args:
        new: Of the slice.
        old: Of the old test lines.
    """
    if _is_doubtful(new, old, MAX_DROP, SIGNIFICANCE):
        return f"doubts the labels of {new.name}: {_told(new, old)}"
    known = {label.name: label for label in old.labels}
    both = [(label, known[label.name]) for label in new.labels if label.name in known]
    for label, before in both:
        # Any of so many may fall by chance (Bonferroni).
        if _is_doubtful(label, before, MAX_LABEL_DROP, SIGNIFICANCE / len(both)):
            whose = f"{new.name} on what the champion calls {label.name}"
            return f"doubts the labels of {whose}: {_told(label, before)}"
    return None


def _is_doubtful(new: Agreement, old: Agreement, max_drop: float, significance: float) -> bool:
    num_wrong = new.num_spans - new.num_agreed
    # Not 0 of few: a champion without an error there would doubt the first that comes.
    expected = (old.num_spans - old.num_agreed + 1) / (old.num_spans + 2)
    p_value = float(binom.sf(num_wrong - 1, new.num_spans, expected))  # so many or more
    return old.share - new.share > max_drop and p_value <= significance


def _told(new: Agreement, old: Agreement) -> str:
    return (
        f"of {new.num_spans} spans that the champion marks too, {new.share:.1%} have its label, "
        f"on the old test {old.share:.1%}"
    )
