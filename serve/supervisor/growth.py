"""Owns when a replica uses too much: memory since it was ready, file descriptors of its limit."""

from __future__ import annotations

from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage

_MB = 1e6


def growth(used: Usage, ready_memory_bytes: int, patience: Patience) -> tuple[float, str]:
    """Return how near a replica is to a limit, and at which it is nearest, in words.

    Args:
        used: What it uses.
        ready_memory_bytes: Its memory when it became ready.
        patience: Where the limits are.

    Returns:
        The share of the limit, from 1 on too much, and what to say of it.
    """
    grown_bytes = used.memory_bytes - ready_memory_bytes
    memory = grown_bytes / patience.memory_growth_bytes
    allowed = patience.descriptors * used.max_descriptors
    descriptors = used.num_descriptors / allowed if allowed else 0.0
    if memory >= descriptors:
        return memory, (
            f"memory: expected at most {patience.memory_growth_bytes / _MB:,.0f} MB more than when "
            f"it was ready, got {grown_bytes / _MB:,.0f} MB more"
        )
    return descriptors, (
        f"file descriptors: expected at most {allowed:,.0f} of the {used.max_descriptors:,} that "
        f"are allowed, got {used.num_descriptors:,}"
    )
