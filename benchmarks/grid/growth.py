"""Owns the question whether cost grows linearly: a line through times, and how far off they are.

Attention's products of tokens with tokens grow with the square of a window's length. Beside a
layer's 12 x width² multiply-adds a token, they are 2 x width x length: 3 % in BERT-base at 128
tokens, 11 % at 512, though they run in FP32, which makes them more of the time. A text longer than
a window costs whole windows, so that its cost is linear again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_R2 = 0.98
"""Of times that count as linear. On the texts of the grid, a square has 0.93."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A line through times.

    Attributes:
        base_s: Time at a length of 0, by the line.
        slope_s: Time for each further token or word.
        r2: Share of the times' variance that the line explains, at most 1.
        max_deviation_s: Largest distance of a time from the line.
        deviates_at: Length at which that is.
    """

    base_s: float
    slope_s: float
    r2: float
    max_deviation_s: float
    deviates_at: int

    @property
    def is_linear(self) -> bool:
        """Whether the line explains the times."""
        return self.r2 >= MIN_R2


def growth_of(lengths: Sequence[int], times_s: Sequence[float]) -> Growth:
    """Fit time = base + slope x length by least squares.

    Args:
        lengths: Tokens or words; two different ones at least.
        times_s: Seconds at each length.

    Raises:
        ValueError: If there are fewer than two lengths.
    """
    if len(set(lengths)) < 2:
        raise ValueError(f"expected two different lengths at least, got {list(lengths)}")
    times = np.asarray(times_s)
    slope, base = np.polyfit(lengths, times, 1)
    off = times - (base + slope * np.asarray(lengths))
    variance = float(((times - times.mean()) ** 2).sum())
    worst = int(np.abs(off).argmax())
    return Growth(
        base_s=float(base),
        slope_s=float(slope),
        r2=1.0 - float((off**2).sum()) / variance if variance else 1.0,
        max_deviation_s=float(abs(off[worst])),
        deviates_at=lengths[worst],
    )
