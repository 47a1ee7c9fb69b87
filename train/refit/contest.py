"""Owns the contest of champion and challenger: what both answer to the test lines.

Both answer in PyTorch: what an exported graph may lose, export's own gate looks at.
"""

from __future__ import annotations

from dataclasses import dataclass

from serve.tagger import Tagger
from train.evaluation.answers import Answer, gold_of, predicted_of, texts_of
from train.evaluation.ask import ask
from train.evaluation.significance import Differences, differences
from train.refit.agreement import Agreement, agreement
from train.refit.gate import Contest, Rule, num_shuffles
from train.refit.intake import Intake, split_of
from train.refit.mixture import Mixture


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What came of asking.

    Attributes:
        contest: What both got right.
        old: How the champion's labels agree with the old test's.
        slices: How they agree with each new slice's, all of its lines.
    """

    contest: Contest
    old: Agreement
    slices: tuple[Agreement, ...]


def contend(
    champion: Tagger, challenger: Tagger, mixture: Mixture, new: Intake, rule: Rule
) -> Asked:
    """Ask both taggers the old and the new test lines, and the champion all new lines."""
    old, fresh = (
        (ask(champion, split), ask(challenger, split))
        for split in (mixture.old_test, mixture.new_test)
    )
    both = (old[0] + fresh[0], old[1] + fresh[1])
    shuffles = num_shuffles(len(mixture.corpus.tags.labels), rule)
    slices = (
        agreement(str(source), ask(champion, split_of(source, lines)))
        for source, lines in new.slices().items()
    )
    return Asked(
        contest=Contest(*(_compared(*pair, shuffles) for pair in (old, fresh, both))),
        old=agreement("the old test", old[0]),
        slices=tuple(slices),
    )


def _compared(before: list[Answer], after: list[Answer], shuffles: int) -> Differences:
    return differences(
        gold_of(before),
        predicted_of(before),
        predicted_of(after),
        texts_of(before),
        num_shuffles=shuffles,
    )
