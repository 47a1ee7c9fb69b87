"""Owns the learning rate of each step, as a share of its peak."""

from __future__ import annotations

import math

from train.config import Schedule


def rate_at(step: int, num_steps: int, schedule: Schedule, warmup: float) -> float:
    """Return the share of the peak at a step, counted from 0.

    It rises over the share `warmup` of the steps in a straight line, then falls to 0 in a straight
    line or in half a cosine, or stays.
    """
    num_warm = max(1, round(warmup * num_steps))
    if step < num_warm:
        return (step + 1) / num_warm
    left = (num_steps - step) / max(1, num_steps - num_warm)
    match schedule:
        case Schedule.LINEAR:
            return left
        case Schedule.COSINE:
            return (1 - math.cos(math.pi * left)) / 2
        case Schedule.CONSTANT:
            return 1.0
