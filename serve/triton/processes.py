"""Owns what is known of a server's processes and shared memory, from /proc and /dev/shm.

A server is one process and a Python stub for each model instance. All carry the server's prefix on
their command line and their shared memory carries it in its name; so whatever a killed server
leaves behind can be told from everything else, even when process ids were used again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from serve.errors import ServerError

SHARED_MEMORY = Path("/dev/shm")
_POLL_S = 0.01


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is no more.

    A process id is used again after a while; together with its start it names one process only.
    """
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def is_our_child(pid: int) -> bool:
    """Return whether this very process started a process."""
    fields = _stat(pid)
    return fields is not None and int(fields[1]) == os.getpid()


def is_alive(pid: int, ticks: int) -> bool:
    """Return whether the process that started at a tick still runs."""
    return start_ticks(pid) == ticks


def processes_of(prefix: str) -> list[int]:
    """Return the ids of the processes that carry a prefix on their command line, but this one."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if prefix.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def shared_memory_of(prefix: str) -> list[Path]:
    """Return the shared memory regions whose name begins with a prefix."""
    return sorted(SHARED_MEMORY.glob(f"{prefix}*"))


def sweep(prefix: str) -> None:
    """Kill what is left of a server and remove its shared memory.

    Raises:
        ServerError: If a process does not die.
    """
    for pid in processes_of(prefix):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not wait_until(lambda: not processes_of(prefix), timeout_s=5.0):
        raise ServerError(f"expected no process of {prefix}, got {processes_of(prefix)}; kill them")
    for region in shared_memory_of(prefix):
        region.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Wait for a condition; return whether it came to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None if there is no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()  # the name in parentheses may hold anything
