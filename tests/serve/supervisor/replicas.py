"""Makes the status of a supervisor and its replicas of which little is known."""

from __future__ import annotations

from serve.supervisor.life import Phase
from serve.supervisor.status import ReplicaStatus, SupervisorStatus


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


def supervised(
    *replicas: ReplicaStatus, now: str, pid: int = 1, start_ticks: int = 1
) -> SupervisorStatus:
    return SupervisorStatus(
        pid=pid,
        start_ticks=start_ticks,
        started=now,
        updated=now,
        triton="",
        repository="r",
        metrics_url=None,
        warnings=(),
        replicas=replicas,
    )
