"""Owns what chance explains: each measure's largest change among lines that are of one kind.

If new lines were of the reference's kind, it would not matter which line belongs to which set. So
the lines of both are dealt anew into sets of the same sizes, many times, and the change seen is
held against those (a permutation test). This knows that the reference is a sample too, which a
bootstrap of it alone forgets, and suits any size. All measures together give a false alarm once in
a hundred months: each may in a hundredth by their number (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.drift.measures import Measure

LEVEL = 0.01
"""How often lines of the reference's own kind are taken for drift, whatever the measure."""
NUM_DEALS = 2000
_BLOCK = 100  # deals at once: bounds the memory
_SEED = 22
_ROUNDING = 1e-9  # equal changes are equal whatever way they were summed up


@dataclass(frozen=True, slots=True)
class Finding:
    """What a measure says.

    Attributes:
        measure: Its name.
        reference: Its value on the reference; None for a distance.
        new: Its value on the new lines, or the distance.
        change: How far the new lines are from the reference; larger is worse.
        by_chance: The largest change that chance explains; a larger one is drift.
        p_value: Chance of a change as large among lines of one kind.
        is_drift: Whether chance does not explain the change.
    """

    measure: str
    reference: float | None
    new: float
    change: float
    by_chance: float
    p_value: float
    is_drift: bool


def findings(
    lines: NDArray[np.float64], num_reference: int, measures: tuple[Measure, ...]
) -> list[Finding]:
    """Return what each measure says.

    Args:
        lines: Figures of the reference's lines, then of the new ones. Shape: (lines, columns)
        num_reference: How many of them are the reference's.
        measures: What to measure.
    """
    reference, new = (part.sum(axis=0, keepdims=True) for part in np.split(lines, [num_reference]))
    seen = [measure.change(reference, new)[0] for measure in measures]
    dealt = np.concatenate(list(_dealt(lines, num_reference, measures)))  # (deals, measures)
    level = LEVEL / len(measures)
    most = math.floor(level * (1 + NUM_DEALS)) - 1  # deals as large, of drift
    limits = np.sort(dealt, axis=0)[-1 - most]
    found = []
    for i, measure in enumerate(measures):
        as_large = int((dealt[:, i] >= seen[i] - _ROUNDING).sum())
        p_value = (1 + as_large) / (1 + NUM_DEALS)
        both = [None if measure.value is None else float(measure.value(s)[0])
                for s in (reference, new)]  # fmt: skip
        found.append(
            Finding(
                measure=measure.name,
                reference=both[0],
                new=float(seen[i]) if both[1] is None else both[1],
                change=float(seen[i]),
                by_chance=float(limits[i]),
                p_value=p_value,
                is_drift=p_value <= level,
            )
        )
    return found


def _dealt(
    lines: NDArray[np.float64], num_reference: int, measures: tuple[Measure, ...]
) -> Iterator[NDArray[np.float64]]:
    """Yield the changes of lines dealt anew. Shape: (block, measures)."""
    draw = np.random.default_rng(_SEED)
    total = lines.sum(axis=0)
    for _ in range(NUM_DEALS // _BLOCK):
        order = draw.permuted(np.tile(np.arange(len(lines)), (_BLOCK, 1)), axis=1)
        is_reference = (order < num_reference).astype(np.float64)
        reference = is_reference @ lines
        new = total - reference
        yield np.stack([measure.change(reference, new) for measure in measures], axis=1)
