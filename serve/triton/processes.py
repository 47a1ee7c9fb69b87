"""Owns what is known of a server's processes and shared memory, from /proc and /dev/shm.

A server is one process and a Python stub for each model instance. The server has its prefix as
`--id`, its stubs have the name of their shared memory, which begins with it, as an argument; so
whatever a killed server leaves behind can be told from everything else, even when process ids were
used again. Whoever merely looks for the prefix, `grep` or an editor, is none of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from serve.errors import ServerError

SHARED_MEMORY = Path("/dev/shm")
_POLL_S = 0.01
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is no more.

    A process id is used again after a while; together with its start it names one process only.
    One whose main thread has ended is there while others end: they hold its files and locks.
    """
    fields = stat_fields(pid)
    if fields is None or (fields[0] in "ZX" and int(fields[17]) <= 1):
        return None
    return int(fields[19])


def parent_of(pid: int) -> int | None:
    """Return the parent of a process; None if it is no more."""
    fields = stat_fields(pid)
    return None if fields is None else int(fields[1])


def is_outside(pid: int) -> bool:
    """Return whether a process is in no container within ours, where paths mean something else."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended
        return False
    numbers = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return len(numbers.split()) <= 2  # its number here, and none further in


def is_alive(pid: int, ticks: int) -> bool:
    """Return whether the process that started at a tick still runs.

    One that cannot be asked about, for want of a descriptor, has not ended by that.
    """
    try:
        return start_ticks(pid) == ticks
    except OSError:
        return True


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Yield each process there is, and its arguments."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            yield int(folder.name), os.fsdecode(command).split("\0")


def processes_of(prefix: str) -> list[int]:
    """Return the ids of a server's processes, but for those that this user may not end."""
    found = []
    for pid, arguments in command_lines():
        if _carries(prefix, arguments):
            with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours
                os.kill(pid, 0)
                found.append(pid)
    return found


def shared_memory_of(prefix: str) -> list[Path]:
    """Return the shared memory regions whose name begins with a prefix."""
    return sorted(SHARED_MEMORY.glob(f"{prefix}*"))


def sweep(prefix: str) -> None:
    """Kill what is left of a server and remove its shared memory.

    Raises:
        ServerError: If a process does not die.
    """
    kill_all(prefix)
    if not wait_until(lambda: not processes_of(prefix), timeout_s=5.0):
        raise ServerError(f"expected no process of {prefix}, got {processes_of(prefix)}; kill them")
    remove_shared_memory(prefix)


def kill_all(prefix: str) -> None:
    """Kill the processes of a server, without waiting for their end."""
    for pid in processes_of(prefix):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove_shared_memory(prefix: str) -> None:
    """Remove the shared memory of a server whose processes have ended.

    What only bears its name, another user's file or a folder, stays where it is.
    """
    for region in shared_memory_of(prefix):
        with contextlib.suppress(OSError):
            region.unlink(missing_ok=True)


def overwrite_argument(pid: int, secret: str) -> bool:
    """Overwrite a secret in a process's memory of its command line; return whether it worked.

    The process has to be ours, a child, and to have read its arguments; others see what is there.
    """
    fields = stat_fields(pid)
    if fields is None:
        return False
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5); 0 if hidden
    try:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            arguments = memory.read(end - start)
            memory.seek(start)
            hidden = arguments.replace(secret.encode(), b"x" * len(secret))
            return hidden != arguments and memory.write(hidden) == len(hidden)
    except OSError:  # it ended, or this system forbids it (ptrace_scope)
        return False


def adopt_orphans() -> None:
    """Become the parent of what our children leave when they die.

    Without it a killed server's stubs go to process 1, which in a container may never wait for
    them: zombies that pile up.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(group: int) -> bool:
    """Take the exit status of our children that have ended in a process group.

    A server leads one, and its stubs are in it; they come to us when it dies before them.

    Returns:
        Whether no child of ours is left in it.
    """
    if group <= 1:  # which waitpid(2) takes for something else
        return True
    try:
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Wait for a condition; return whether it came to hold in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on, or None if there is no process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()  # the name in parentheses may hold anything


def _carries(prefix: str, arguments: list[str]) -> bool:
    """Return whether a command line is the one of a server with a prefix, or of its stub."""
    return f"--id={prefix}" in arguments or any(
        argument.startswith(prefix) and argument != prefix for argument in arguments
    )
