"""Owns the search for the fewest nodes to leave in FP32. Knows nothing of graphs or precisions.

Nodes are ranked once, by the error that each brings in by itself; the worst are left out one after
the other until the gate opens, and then each is put back that turns out not to be needed. So at
most `2 * MAX_EXCLUDED - 1` graphs are scored on the dev lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

MAX_EXCLUDED = 12

Passed = TypeVar("Passed")


def fewest_exclusions(
    errors: Mapping[str, float], passed: Callable[[tuple[str, ...]], Passed | None]
) -> Passed | None:
    """Return what passes with the fewest nodes left out, or None.

    Args:
        errors: The nodes, the worst first. At most half of them are left out.
        passed: Tries the graph without some of them; returns it if the gate opens.
    """
    ranked = list(errors)
    most = min(MAX_EXCLUDED, len(ranked) // 2)
    bar = tqdm(total=most, desc="exclusions", leave=False, disable=None)
    with bar:
        for count in range(1, most + 1):
            result = passed(tuple(ranked[:count]))
            bar.update()
            if result is not None:
                return _without_needless(ranked[:count], result, passed)
    return None


def _without_needless(
    excluded: Sequence[str], result: Passed, passed: Callable[[tuple[str, ...]], Passed | None]
) -> Passed:
    """Put back each node but the last, without which it did not pass, if it still passes then."""
    kept = list(excluded)
    for name in excluded[:-1]:
        fewer = [other for other in kept if other != name]
        better = passed(tuple(fewer))
        if better is not None:
            kept, result = fewer, better
    return result
