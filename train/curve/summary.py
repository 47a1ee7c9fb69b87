"""Owns what a curve says: mean and spread of each size, and how many lines a choice of them saves.

A choice of lines saves what random lines need more of: the size at which the straight lines between
the means of the random curve reach the mean that the chosen lines did.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from train.curve.config import Pick
from train.curve.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Figures of several draws.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation (of a sample); None for a single one.
        least: The least of them.
        most: The largest.
    """

    mean: float
    deviation: float | None
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One size of one curve.

    Attributes:
        strategy: Name of the way to train.
        pick: How its lines were chosen.
        num_lines: Train lines.
        num_draws: Runs.
        num_words: Mean words of the train lines.
        num_spans: Mean spans of the train lines.
        dev_f1: Entity F1 on dev.
        test_f1: Entity F1 on test, where all runs looked at it.
        random_lines: Random lines that bring the same mean dev F1, where lines were picked and the
            random curve of the same strategy gets there.
    """

    strategy: str
    pick: str
    num_lines: int
    num_draws: int
    num_words: float
    num_spans: float
    dev_f1: Spread
    test_f1: Spread | None
    random_lines: float | None = None


def summary(runs: Sequence[Run]) -> list[Step]:
    """Return the steps of all curves, in the order of their first runs."""
    groups: dict[tuple[str, str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.strategy, run.pick, run.num_lines), []).append(run)
    means = {key: statistics.fmean(run.dev_f1 for run in group) for key, group in groups.items()}
    steps = []
    for (strategy, pick, num_lines), group in groups.items():
        random = [(n, f1) for (s, p, n), f1 in means.items() if (s, p) == (strategy, Pick.RANDOM)]
        f1 = means[strategy, pick, num_lines]
        steps.append(_step(group, None if pick == Pick.RANDOM else lines_needed(random, f1)))
    return steps


def lines_needed(curve: Sequence[tuple[int, float]], f1: float) -> float | None:
    """Return the lines at which a curve first reaches an F1; None if it does not.

    Args:
        curve: Numbers of lines, rising, and the F1 of each.
        f1: The F1 to reach.
    """
    if curve and curve[0][1] >= f1:
        return float(curve[0][0])
    for (low, below), (high, above) in pairwise(curve):
        if below < f1 <= above:
            return low + (high - low) * (f1 - below) / (above - below)
    return None


def _step(runs: Sequence[Run], random_lines: float | None) -> Step:
    first = runs[0]
    tests = [run.test_f1 for run in runs if run.test_f1 is not None]
    return Step(
        strategy=first.strategy,
        pick=first.pick,
        num_lines=first.num_lines,
        num_draws=len(runs),
        num_words=statistics.fmean(run.num_words for run in runs),
        num_spans=statistics.fmean(run.num_spans for run in runs),
        dev_f1=_spread([run.dev_f1 for run in runs]),
        test_f1=_spread(tests) if len(tests) == len(runs) else None,
        random_lines=random_lines,
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(
        mean=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        least=min(values),
        most=max(values),
    )
