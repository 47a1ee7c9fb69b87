"""Owns the rule by which a challenger takes the champion's place, or does not.

Both are asked the old test lines, which the champion's checkpoint carries, and the new ones.
Neither was trained on any of them. A challenger is accepted when all hold:

* It *wins*: over the lines of both tests together its entity F1 is higher, and the p-value of the
  difference is at most the significance. Few new lines alone could seldom prove a gain of a point.
* It *loses nowhere*: no F1 falls by more points than the allowance, unless chance explains it. That
  is asked of each test by itself, all labels together, at the significance; and of each label on
  each test, where the p-values are adjusted for their number (Holm 1979), since of twenty labels
  one would lose at 0.05 by chance. So a label with a handful of entities cannot veto by noise; one
  that is wholly lost does from about ten lines on that have it. Labels that both taggers answer
  alike but for a few lines could not veto at any p-value they can have; they do not count in that
  number (Tarone 1990), or each label that nobody finds would make it harder for the others.

* It learnt from *no doubtful slice*, whose labels contradict the champion's, see
  `train.refit.agreement`.

Where a new slice is poisoned, its test is so too: a challenger that learnt from it wins there, and
is caught by the old test. Good lines beside it can outweigh it there; the doubt is about each slice
by itself. Where a slice only fails to help, it is refused for want of a win: offer its lines again,
together with the next slice's.

p-values are of paired randomization tests, see `train.evaluation.significance`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from train.evaluation.significance import NUM_SHUFFLES, Difference, Differences, p_shown

AnyKey = TypeVar("AnyKey", bound=Hashable)
OLD, NEW = "old", "new"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a challenger has to prove.

    Attributes:
        allowance_points: Largest loss of entity F1 that is let pass, in points (1 point = 0.01).
        significance: Largest p-value of a difference that is taken for real.
    """

    allowance_points: float = 1.0
    significance: float = 0.05


@dataclass(frozen=True, slots=True)
class Contest:
    """What champion and challenger got right.

    Attributes:
        old: On the old test lines; losses are the challenger's.
        new: On the new ones.
        both: On all of them.
    """

    old: Differences
    new: Differences
    both: Differences


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger takes the champion's place.

    Attributes:
        wins: Whether it is better over both tests together.
        win: That in a sentence.
        losses: A sentence for each loss that is beyond the allowance and no chance.
        doubts: A sentence for each slice whose labels are doubted.
        adjusted_p: Holm's p-value of each test and label.
    """

    wins: bool
    win: str
    losses: tuple[str, ...]
    doubts: tuple[str, ...]
    adjusted_p: dict[tuple[str, str], float]

    @property
    def accepted(self) -> bool:
        """Whether it does."""
        return self.wins and not self.losses and not self.doubts

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, a sentence each; of a refusal every reason there is, the gravest first."""
        against = (*self.doubts, *self.losses)
        return against if self.wins and against else (*against, self.win)


def judge(contest: Contest, rule: Rule, doubts: Sequence[str] = ()) -> Verdict:
    """Return what the rule makes of a contest, and of doubts about what was learnt from."""
    tests = {OLD: contest.old, NEW: contest.new}
    labels = {(test, k): d for test, found in tests.items() for k, d in found.by_label.items()}
    adjusted = _adjusted(labels, rule)
    overall = contest.both.overall
    wins = overall.change.loss_points < 0 and overall.p_value <= rule.significance
    win = f"{_points(overall)} on both tests together, p {p_shown(overall.p_value, 4)}"
    return Verdict(
        wins=wins,
        win=f"wins: {win}"
        if wins
        else f"no win: {win}, a gain at {rule.significance:g} or less is needed",
        losses=(
            *_losses({(test, ""): found.overall for test, found in tests.items()}, None, rule),
            *_losses(labels, adjusted, rule),
        ),
        doubts=tuple(doubts),
        adjusted_p=adjusted,
    )


def _adjusted(
    labels: Mapping[tuple[str, str], Difference], rule: Rule
) -> dict[tuple[str, str], float]:
    """Return each label's adjusted p-value; 1 for those of which no loss could be proved."""
    able = {key: d.p_value for key, d in labels.items() if d.least_p_value <= rule.significance}
    return dict.fromkeys(labels, 1.0) | holm(able)


def num_shuffles(num_labels: int, rule: Rule) -> int:
    """Return how many shuffles p-values need, for the least to stay significant when adjusted.

    With too few, the least p-value times the number of labels would be above the significance,
    and no label could ever veto.
    """
    needed = 10 * len((OLD, NEW)) * num_labels / rule.significance
    return max(NUM_SHUFFLES, 100 * math.ceil(needed / 100))


def holm(p_values: Mapping[AnyKey, float]) -> dict[AnyKey, float]:
    """Return p-values adjusted for their number, so that one of them errs as seldom as one alone.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    adjusted: dict[AnyKey, float] = {}
    largest = 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[key]))
        adjusted[key] = largest
    return adjusted


def _losses(
    found: Mapping[tuple[str, str], Difference],
    adjusted: Mapping[tuple[str, str], float] | None,
    rule: Rule,
) -> Iterator[str]:
    """Yield a sentence for each loss beyond the allowance that chance does not explain."""
    for (test, label), difference in found.items():
        p_value = difference.p_value if adjusted is None else adjusted[test, label]
        loss = difference.change.loss_points
        if loss > rule.allowance_points and p_value <= rule.significance:
            what = f"{label} of the {test} test" if label else f"the {test} test"
            yield (
                f"loses on {what}: {_points(difference)}, beyond the allowance of "
                f"{rule.allowance_points:g}, {'adjusted ' if adjusted else ''}"
                f"p {p_shown(p_value, 4)}"
            )


def _points(difference: Difference) -> str:
    change = difference.change
    gain = 0 - change.loss_points
    return f"F1 {100 * change.before:.2f} to {100 * change.after:.2f} ({gain:+.2f} points)"
