"""Owns what a replica's processes use: memory, file descriptors and computing time, from /proc."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from serve.triton.processes import processes_of, shared_memory_of, stat_fields

_BUSY = 0.3
"""Share of a core from which a process counts as computing; waiting for a core counts as well."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a replica's processes use together.

    Attributes:
        memory_bytes: Memory of their own, and the shared memory between them: what a leak grows.
        server_bytes: The server's own part of it, without its versions'.
        num_descriptors: Open file descriptors of the process that has the most.
        max_descriptors: How many that process may open.
    """

    memory_bytes: int
    server_bytes: int
    num_descriptors: int
    max_descriptors: int


def usage(prefix: str, pids: Collection[int], server: int) -> Usage:
    """Return what the processes with a server's prefix use, of which one is the server itself."""
    shared = 0
    for region in shared_memory_of(prefix):
        with contextlib.suppress(OSError):  # it was removed meanwhile
            shared += 512 * region.stat().st_blocks
    used, allowed = max((_descriptors(pid) for pid in pids), default=(0, 0))
    own = {pid: _own_memory(pid) for pid in pids}
    return Usage(shared + sum(own.values()), own.get(server, 0), used, allowed)


class Activity:
    """Tells whether a server computes, though it does not answer."""

    def __init__(self, prefix: str) -> None:
        """Take the server's prefix."""
        self._prefix = prefix
        self._before: dict[int, int] = {}

    def is_busy(self, seconds: float) -> bool:
        """Return whether one of its processes computed in the seconds since the last call.

        A process that was stopped (SIGSTOP) computes nothing, so neither does its server.
        """
        before, pids = self._before, processes_of(self._prefix)
        self._before = {pid: _computed_ns(pid) for pid in pids}
        grown = [now - before.get(pid, now) for pid, now in self._before.items()]
        most = max(grown, default=0)
        return not any(map(_is_stopped, pids)) and seconds > 0 and most >= _BUSY * 1e9 * seconds


def _own_memory(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return 0


def _descriptors(pid: int) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return used, resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    return 0, 0


def _computed_ns(pid: int) -> int:
    """Return how long all threads of a process computed, or waited for a core to."""
    return sum(_thread_ns(thread) for thread in _threads(pid))


def _threads(pid: int) -> Iterable[Path]:
    with contextlib.suppress(OSError):
        return list(Path(f"/proc/{pid}/task").iterdir())
    return []


def _thread_ns(thread: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        on_core, waiting, _ = (thread / "schedstat").read_text().split()
        return int(on_core) + int(waiting)
    return 0


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return (stat_fields(pid) or "?")[0] in "Tt"
    return False
