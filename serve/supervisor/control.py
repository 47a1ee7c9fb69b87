"""Owns a supervisor's folder: one supervisor at a time, stopped and restarted from outside.

    build/triton/
        status.json        how things are, each second; an orderly end removes it
        supervisor.log     what happened, JSON lines
        start.out          what a detached supervisor writes, gRPC's remarks among it
        replica-0/         a server's log, the note of its state, the administrator's key

Whoever holds the lock on the folder is its supervisor; the lock dies with its holder. What a killed
one left behind, servers that run and servers that do not, the next start or stop clears away.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from serve.errors import ServerError
from serve.files import locked
from serve.supervisor.health import read_health
from serve.supervisor.patience import Patience
from serve.supervisor.startable import check_startable
from serve.supervisor.status import STATUS, glance
from serve.triton.ending import take_down
from serve.triton.processes import wait_until
from serve.triton.state import read_states, replica_folders

LOG, OUTPUT = "supervisor.log", "start.out"
RESTART = signal.SIGUSR1
"""What asks a supervisor to restart its replicas, one after the other."""
_STOP_MARGIN_S = 10.0
_POLL_S = 0.1


def stop_service(folder: Path, *, patience_s: float) -> bool:
    """Ask the supervisor of a folder to end, and clear away whatever is left.

    Returns:
        Whether there was something to stop or to clear away.

    Raises:
        ServerError: If a process does not die.
    """
    if not folder.is_dir():
        return False
    # One that is only just starting holds the folder, and has no status yet: it is waited for.
    wait_until(lambda: _running(folder) or not _is_supervised(folder), timeout_s=_STOP_MARGIN_S)
    status = glance(folder)
    if status and status.is_running() and _is_supervised(folder):
        with contextlib.suppress(ProcessLookupError):
            _signal(status.pid, signal.SIGTERM)
            if not wait_until(
                lambda: not status.is_running(), timeout_s=patience_s + _STOP_MARGIN_S
            ):
                os.kill(status.pid, signal.SIGKILL)
                wait_until(lambda: not status.is_running(), timeout_s=_STOP_MARGIN_S)
    with sole(folder):
        was_there = clear(folder)
        (folder / STATUS).unlink(missing_ok=True)
    return was_there or status is not None


def clear(folder: Path) -> bool:
    """Kill servers that nobody supervises and remove their remains; return if there were any."""
    folders = [folder, *replica_folders(folder)]
    return sum(take_down(path, patiently=False) for path in folders) > 0


def restart_service(folder: Path) -> Iterator[int]:
    """Ask the supervisor of a folder to restart its replicas; yield each as it answers again.

    Raises:
        ServerError: If there is no supervisor, or one does not come back in time.
        TaggingError: If a file that they need to start would not do; nothing is asked then.
    """
    status = glance(folder)
    if status is None or not status.is_running() or not _is_supervised(folder):
        raise ServerError(f"{folder}: expected a supervisor, got none; python -m serve start")
    check_startable(read_states(folder))
    # One that is down is not restarted once more, see `Rolling`: its next answer is what we await.
    waiting = {r.number: r.pid if r.is_ready else None for r in status.replicas}
    deadline = time.monotonic() + Patience().rolling_s(len(waiting))
    _signal(status.pid, RESTART)
    while waiting:
        time.sleep(_POLL_S)
        status = glance(folder)
        if time.monotonic() > deadline or status is None or not status.is_running():
            raise ServerError(
                f"{folder}: expected replicas {list(waiting)} to come back, got none of them: "
                f"{_problem(folder)}; see python -m serve status and {folder / LOG}"
            )
        for replica in status.replicas:
            before = waiting.get(replica.number, replica.pid)
            if replica.is_ready and replica.pid != before:
                del waiting[replica.number]
                yield replica.number


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a supervisor.

    Raises:
        ProcessLookupError: If it is no more.
        ServerError: If it is another user's.
    """
    try:
        os.kill(pid, number)
    except PermissionError as error:
        owner = os.stat(f"/proc/{pid}").st_uid
        raise ServerError(
            f"process {pid}: expected a supervisor of user {os.getuid()}, got one of user {owner}; "
            "do this as the user who started it"
        ) from error


@contextlib.contextmanager
def sole(folder: Path) -> Iterator[None]:
    """Be the only one who starts and stops servers in a folder.

    Raises:
        ServerError: If another one is.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait=False))
        except BlockingIOError as error:
            status = glance(folder)
            if status and status.is_running():
                who, remedy = f"process {status.pid}", "stop it first with python -m serve stop"
            else:
                who = "one that starts or stops, or that runs on another machine or in a container"
                remedy = "wait for it, or stop it there"
            raise ServerError(f"{folder}: expected no supervisor, got {who}; {remedy}") from error
        yield


def _problem(folder: Path) -> str:
    """Return why servers do not come back, as far as a supervisor of this release says."""
    with contextlib.suppress(ServerError):
        return read_health(folder).problem or "no restart"
    return "a status of another release"


def _running(folder: Path) -> bool:
    """Return whether the status in a folder is one of a supervisor that runs."""
    status = glance(folder)
    return status is not None and status.is_running()


def _is_supervised(folder: Path) -> bool:
    """Return whether a supervisor is at work: the process of one that failed may live on."""
    try:
        with sole(folder):
            return False
    except ServerError:
        return True
