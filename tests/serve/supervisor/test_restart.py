"""Tests what a request to restart the servers waits for; the test plays the supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve.supervisor.control import RESTART, restart_service
from serve.supervisor.life import Phase
from serve.supervisor.status import ReplicaStatus, SupervisorStatus, write_status
from serve.triton.processes import start_ticks


def tell(folder: Path, *replicas: tuple[Phase, int]) -> None:
    """Write the status of this process: each replica's phase and process."""
    now = datetime.now(UTC).isoformat()
    status = SupervisorStatus(
        pid=os.getpid(),
        start_ticks=start_ticks(os.getpid()) or 0,
        started=now,
        updated=now,
        triton="",
        repository="r",
        metrics_url=None,
        warnings=(),
        replicas=tuple(replica(number, *how, now) for number, how in enumerate(replicas)),
    )
    write_status(folder, status)


def replica(number: int, phase: Phase, pid: int, now: str) -> ReplicaStatus:
    return ReplicaStatus(
        number=number,
        phase=phase,
        since=now,
        url="u",
        http_url=None,
        metrics_url="m",
        log="l",
        pid=pid,
        restarts={},
        num_failures=0,
        reason="",
        canaries={},
        canary_ms=None,
        version="",
        graph="",
        versions=(),
        usage=None,
        ready_memory_bytes=None,
        figures=None,
    )


@contextmanager
def when_asked(folder: Path, *replicas: tuple[Phase, int]) -> Iterator[None]:
    """Tell what became of the replicas once a restart is asked for."""
    before = signal.signal(RESTART, lambda number, frame: tell(folder, *replicas))
    try:
        yield
    finally:
        signal.signal(RESTART, before)


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.ENDING, Phase.WAITING])
def test_a_replica_that_is_down_when_a_restart_is_asked_for_is_not_restarted_once_more(
    tmp_path: Path, phase: Phase
) -> None:
    """The supervisor leaves it out, and whether its process is another one says nothing."""
    tell(tmp_path, (Phase.READY, 10), (phase, 20))
    with when_asked(tmp_path, (Phase.READY, 11), (Phase.READY, 20)):
        assert list(restart_service(tmp_path)) == [0, 1]
