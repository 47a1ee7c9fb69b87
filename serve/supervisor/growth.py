"""Owns when a replica uses too much: memory since it was ready, descriptors, room for metrics."""

from __future__ import annotations

from collections.abc import Iterable

from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage
from serve.supervisor.scrape import MAX_BYTES
from serve.triton.names import ModelVersion

_MB = 1e6
_CHANGING = ("LOADING", "UNLOADING")
_MAX_METRICS = MAX_BYTES // 2
"""Beyond `MAX_BYTES` they are not read, and nobody sees whether a busy server moves on."""


class ReadyMemory:
    """The memory of a server when it was ready with the versions that it has now.

    A version beside another takes as much memory as the first did, a gigabyte and more: that is no
    leak. Each version is a process of its own, so what it leaks ends with it; what the server
    itself has grown by since it was first ready goes on counting.

    Attributes:
        num_bytes: What to count from; None while that is not known.
    """

    def __init__(self) -> None:
        """Begin with a server of which nothing was seen."""
        self.num_bytes: int | None = None
        self._ready: frozenset[ModelVersion] = frozenset()
        self._first: int | None = None

    def note(self, used: Usage, versions: Iterable[ModelVersion]) -> None:
        """Take what the server uses, and has; no versions if it did not say."""
        ready = frozenset(version for version in versions if version.state == "READY")
        if any(version.state in _CHANGING for version in versions):
            self.num_bytes = None
        elif self.num_bytes is None or (ready and ready != self._ready):
            self._first = used.server_bytes if self._first is None else self._first
            grown = max(0, used.server_bytes - self._first)
            self._ready, self.num_bytes = ready, used.memory_bytes - grown


def growth(
    used: Usage, ready_memory_bytes: int, metrics: str, patience: Patience
) -> tuple[float, str]:
    """Return how near a replica is to a limit, and at which it is nearest, in words.

    Args:
        used: What it uses.
        ready_memory_bytes: Its memory when it became ready.
        metrics: What it tells of itself: Triton keeps the figures of versions that it unloaded.
        patience: Where the limits are.

    Returns:
        The share of the limit, from 1 on too much, and what to say of it.
    """
    grown_bytes = used.memory_bytes - ready_memory_bytes
    allowed = patience.descriptors * used.max_descriptors
    shares = (
        (
            grown_bytes / patience.memory_growth_bytes,
            f"memory: expected at most {patience.memory_growth_bytes / _MB:,.0f} MB more than when "
            f"it was ready, got {grown_bytes / _MB:,.0f} MB more",
        ),
        (
            used.num_descriptors / allowed if allowed else 0.0,
            f"file descriptors: expected at most {allowed:,.0f} of the {used.max_descriptors:,} "
            f"that are allowed, got {used.num_descriptors:,}",
        ),
        (
            len(metrics) / _MAX_METRICS,
            f"metrics: expected at most {_MAX_METRICS:,} characters, got {len(metrics):,}",
        ),
    )
    return max(shares, key=lambda share: share[0])
