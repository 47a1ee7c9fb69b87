"""Owns the parting of lines into train, dev and test.

Policy: lines of one group stay on one side, a group being what the caller says: a text, a machine,
a moment. By seed, the larger a group the earlier its part is drawn, each in proportion to what it
still misses, of the parts that have room for the group; where none has, it goes where most is
missing. So a text that is repeated comes to test as often as any other. Lone lines fill up what is
missing in random order. By time, the oldest are train and the newest test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

Key = str | float
"""What keeps lines together: a text, a field's value, or a moment in seconds."""
PARTS = ("train", "dev", "test")


def part_by_group(groups: Sequence[Key], shares: Mapping[str, float], seed: int) -> dict[Key, str]:
    """Return the part of each group.

    Args:
        groups: The group of each line.
        shares: Share of the lines of each part, in [0, 1].
        seed: Of all chance.
    """
    draw = random.Random(seed)
    sizes = Counter(groups)
    order = list(sizes)
    draw.shuffle(order)
    order.sort(key=lambda group: -sizes[group])
    missing = {part: share * len(groups) for part, share in shares.items()}
    parts: dict[Key, str] = {}
    for group in order:
        room = {part: num for part, num in missing.items() if num >= sizes[group]}
        if room and sizes[group] > 1:
            (part,) = draw.choices(list(room), weights=list(room.values()))
        else:
            part = max(missing, key=lambda name: missing[name])
        missing[part] -= sizes[group]
        parts[group] = part
    return parts


def part_by_time(times: Sequence[Key], shares: Mapping[str, float]) -> dict[Key, str]:
    """Return the part of each moment: the first parts get the oldest.

    Args:
        times: The moment of each line, in seconds.
        shares: Share of the lines of each part, in [0, 1], oldest first.
    """
    sizes = Counter(times)
    ends: list[tuple[str, float]] = []
    end = 0.0
    for part, share in shares.items():
        end += share * len(times)
        ends.append((part, end))
    parts: dict[Key, str] = {}
    num_before = 0
    for moment in sorted(sizes, key=float):
        # A moment goes where its middle line does.
        middle = num_before + sizes[moment] / 2
        parts[moment] = next((part for part, end in ends if middle <= end), ends[-1][0])
        num_before += sizes[moment]
    return parts
