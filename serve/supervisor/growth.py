"""Owns when a replica uses too much: memory since it was ready, file descriptors of its limit."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from serve.supervisor.patience import Patience
from serve.supervisor.resources import Usage
from serve.triton.names import ModelVersion

_MB = 1e6
_CHANGING = ("LOADING", "UNLOADING")


class ReadyMemory:
    """The memory of servers when they were ready with the versions that they have now.

    A version beside another takes as much memory as the first did, a gigabyte and more: that is no
    leak. Each version is a process of its own, so what it leaks ends with it; what the server
    itself has grown by since it was first ready goes on counting.
    """

    def __init__(self) -> None:
        """Begin with no server."""
        self._seen: dict[str, tuple[frozenset[ModelVersion], int]] = {}
        self._first: dict[str, int] = {}

    def note(self, prefix: str, used: Usage, versions: Iterable[ModelVersion]) -> None:
        """Take what a server uses, and has; no versions if it did not say."""
        ready = frozenset(version for version in versions if version.state == "READY")
        before, _ = self._seen.get(prefix, (None, 0))
        if any(version.state in _CHANGING for version in versions):
            self._seen.pop(prefix, None)
        elif before is None or (ready and ready != before):
            grown = used.server_bytes - self._first.setdefault(prefix, used.server_bytes)
            self._seen[prefix] = ready, used.memory_bytes - max(0, grown)

    def keep(self, prefixes: Collection[str]) -> None:
        """Forget all servers but these."""
        self._seen = {prefix: seen for prefix, seen in self._seen.items() if prefix in prefixes}
        self._first = {prefix: first for prefix, first in self._first.items() if prefix in prefixes}

    def of(self, prefix: str) -> int | None:
        """Return a server's memory to count from, in bytes; None while that is not known."""
        return self._seen[prefix][1] if prefix in self._seen else None


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
