"""Owns the supervisor as a service of a folder: one at a time, its log, its signals, its status.

    build/triton/
        status.json        how things are, each second; an orderly end removes it
        supervisor.log     what happened, JSON lines
        replica-0/         a server's log, the note of its state, the administrator's key

Whoever holds the lock on the folder is its supervisor; the lock dies with its holder. What a killed
one left behind, servers that run and servers that do not, the next start or stop clears away.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from serve.errors import ServerError
from serve.journal import journal
from serve.supervisor.config import SupervisorConfig, make_folder
from serve.supervisor.health import read_health
from serve.supervisor.metrics import export, exposition
from serve.supervisor.patience import Patience
from serve.supervisor.report import report
from serve.supervisor.status import STATUS, SupervisorStatus, read_status, write_status
from serve.supervisor.supervisor import Supervisor
from serve.triton.lifecycle import ENDINGS, take_down
from serve.triton.processes import wait_until
from serve.triton.state import replica_folders

LOG = "supervisor.log"
RESTART = signal.SIGUSR1
"""What asks a supervisor to restart its replicas, one after the other."""
_STOP_MARGIN_S = 10.0
_POLL_S = 0.1


def run_service(config: SupervisorConfig, announce: Callable[[SupervisorStatus], None]) -> None:
    """Run a supervisor in this process until it is asked to end.

    Args:
        config: What to run.
        announce: Called once, when every replica is ready.

    Raises:
        ServerError: If there is a supervisor, a replica does not come up, or all were given up.
        KeyboardInterrupt: If it was asked to end a second time; then the servers were killed.
        OSError: If the folder cannot be written.
    """
    make_folder(config.folder)
    with _sole(config.folder), _journaled(config.folder / LOG):
        clear(config.folder)
        supervisor = Supervisor(config)
        with _signals(supervisor):
            try:
                _run(supervisor, announce)
            except BaseException:
                supervisor.kill()
                raise
        (config.folder / STATUS).unlink(missing_ok=True)


def stop_service(folder: Path, *, patience_s: float) -> bool:
    """Ask the supervisor of a folder to end, and clear away whatever is left.

    Returns:
        Whether there was something to stop or to clear away.

    Raises:
        ServerError: If a process does not die.
    """
    if not folder.is_dir():
        return False
    status = read_status(folder)
    if status and status.is_running() and _is_supervised(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(status.pid, signal.SIGTERM)
            if not wait_until(
                lambda: not status.is_running(), timeout_s=patience_s + _STOP_MARGIN_S
            ):
                os.kill(status.pid, signal.SIGKILL)
                wait_until(lambda: not status.is_running(), timeout_s=_STOP_MARGIN_S)
    with _sole(folder):
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
    """
    status = read_health(folder).supervisor
    if status is None or not status.is_running():
        raise ServerError(f"{folder}: expected a supervisor, got none; python -m serve start")
    waiting = {replica.number: replica.pid for replica in status.replicas}
    deadline = time.monotonic() + len(waiting) * (Patience.drain_s + Patience.ready_s)
    os.kill(status.pid, RESTART)
    while waiting:
        time.sleep(_POLL_S)
        health = read_health(folder)
        if time.monotonic() > deadline or not health.is_running or health.supervisor is None:
            raise ServerError(
                f"{folder}: expected replicas {list(waiting)} to come back, got none of them: "
                f"{health.problem}; see python -m serve status"
            )
        for replica in health.supervisor.replicas:
            before = waiting.get(replica.number, replica.pid)
            if replica.is_ready and replica.pid != before:
                del waiting[replica.number]
                yield replica.number


def _run(supervisor: Supervisor, announce: Callable[[SupervisorStatus], None]) -> None:
    config, started = supervisor.config, datetime.now(UTC)
    metrics_url, is_announced = None, False

    def current() -> SupervisorStatus:
        return report(supervisor, started=started, metrics_url=metrics_url)

    if config.metrics_port is not None:
        metrics_url = export(
            lambda: exposition(current(), supervisor.metrics()), config.metrics_port
        )

    def tell() -> None:
        nonlocal is_announced
        status = current()
        write_status(config.folder, status)
        if supervisor.is_up and not is_announced:
            is_announced = True
            announce(status)

    tell()
    supervisor.run(tell)


@contextlib.contextmanager
def _sole(folder: Path) -> Iterator[None]:
    """Be the only one who starts and stops servers in a folder.

    Raises:
        ServerError: If another one is.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            status = read_status(folder)
            who = f"process {status.pid}" if status else "one that starts or stops"
            raise ServerError(
                f"{folder}: expected no supervisor, got {who}; "
                "stop it first with python -m serve stop"
            ) from error
        yield
    finally:
        os.close(descriptor)


def _is_supervised(folder: Path) -> bool:
    """Return whether a supervisor is at work: the process of one that failed may live on."""
    try:
        with _sole(folder):
            return False
    except ServerError:
        return True


@contextlib.contextmanager
def _journaled(path: Path) -> Iterator[None]:
    """Write what this package logs to a file, meanwhile."""
    root, handler = logging.getLogger("serve"), journal(path)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _signals(supervisor: Supervisor) -> Iterator[None]:
    """Take signals: the first that ends a program asks, the second insists."""

    def end(number: int, frame: FrameType | None) -> None:
        if supervisor.is_stopping:
            raise KeyboardInterrupt
        supervisor.stop()

    def restart(number: int, frame: FrameType | None) -> None:
        supervisor.restart_all()

    wanted = {RESTART: restart} | {
        number: end
        for number in ENDINGS
        if signal.getsignal(number) is not signal.SIG_IGN  # nohup, and what stays in background
    }
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
