"""Owns the status of a supervisor, put together from what its parts know."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from serve.supervisor.growth import growth
from serve.supervisor.life import Phase
from serve.supervisor.patience import Patience
from serve.supervisor.replica import Replica
from serve.supervisor.status import ReplicaStatus, SupervisorStatus
from serve.supervisor.supervisor import Supervisor
from serve.triton.floor import floor_warning
from serve.triton.launch import LOG
from serve.triton.names import GraphJson

_TOLD = 0.5
"""Share of a limit from which a replica's growth is told."""
_SILENT_S = 60.0


def report(
    supervisor: Supervisor, *, started: datetime, start_ticks: int, metrics_url: str | None
) -> SupervisorStatus:
    """Return how a supervisor, which is this process, is doing just now.

    Args:
        supervisor: The supervisor.
        started: When it started.
        start_ticks: The same in clock ticks since boot; not asked here, where it may have no
            descriptor left to ask with.
        metrics_url: Address of its metrics, or None where they are off.
    """
    results = [replica.result for replica in supervisor.replicas if replica.result]
    triton = next((result.triton for result in results if result.triton), "")
    warnings = [floor_warning(triton)] if triton else []
    warnings += [_growth_warning(supervisor, replica) for replica in supervisor.replicas]
    warnings += [_trial_warning(replica) for replica in supervisor.replicas]
    warnings += [_lack_warning(replica) for replica in supervisor.replicas]
    patience = supervisor.config.patience
    warnings += [_ends_warning(replica, patience) for replica in supervisor.replicas]
    warnings += [_silence_warning(replica) for replica in supervisor.replicas]
    return SupervisorStatus(
        pid=os.getpid(),
        start_ticks=start_ticks,
        started=_iso(started.timestamp()),
        updated=_iso(time.time()),
        triton=triton,
        repository=str(supervisor.config.repository.absolute()),
        metrics_url=metrics_url,
        warnings=tuple(filter(None, warnings)),
        replicas=tuple(_replica(supervisor, replica) for replica in supervisor.replicas),
    )


def _replica(supervisor: Supervisor, replica: Replica) -> ReplicaStatus:
    life, order, result = replica.life, replica.order, replica.answering
    sample, now = supervisor.sample(replica), time.monotonic()
    failures = life.recent_failures(now, supervisor.config.patience)
    return ReplicaStatus(
        number=replica.number,
        phase=life.phase,
        since=_iso(time.time() - (now - life.since)),
        url=order.client_url,
        http_url=order.http_url,
        metrics_url=order.metrics_url,
        log=str(replica.folder / LOG),
        pid=replica.state.pid if replica.state else None,
        # Lists, for the loop may count something new while another thread reads.
        restarts={str(cause): number for cause, number in list(replica.restarts.items())},
        num_failures=len(failures),
        reason=life.reason,
        canaries={str(verdict): number for verdict, number in list(replica.canaries.items())},
        canary_ms=1e3 * result.latency_s if result and result.latency_s is not None else None,
        version=result.version if result else "",
        graph=_graph(sample.graph) if sample and sample.graph else "",
        versions=sample.versions if sample else (),
        usage=sample.usage if sample else None,
        ready_memory_bytes=replica.ready_memory.num_bytes if replica.state else None,
        figures=sample.figures if sample else None,
    )


def _growth_warning(supervisor: Supervisor, replica: Replica) -> str:
    sample, ready = supervisor.sample(replica), replica.ready_memory.num_bytes
    if sample is None or ready is None:
        return ""
    share, words = growth(sample.usage, ready, sample.metrics, supervisor.config.patience)
    told = f"replica {replica.number} is at {share:.0%} of a limit, {words}"
    return told if share >= _TOLD else ""


def _trial_warning(replica: Replica) -> str:
    for version, reason in replica.failing.items():
        told = f"replica {replica.number} answers, but not with version {version}: {reason}"
        return f"{told}; python -m serve rollback takes it from all callers"
    return ""


def _lack_warning(replica: Replica) -> str:
    if not replica.lacking:
        return ""
    lacking = ", ".join(map(str, sorted(replica.lacking)))
    told = f"replica {replica.number} lacks version {lacking}, which callers ask for"
    return f"{told}; it is told to load it"


def _ends_warning(replica: Replica, patience: Patience) -> str:
    num_ends = len(replica.life.recent_ends(time.monotonic(), patience))
    if num_ends < patience.max_failures:
        return ""
    told = f"replica {replica.number} ended {num_ends} times within {patience.window_s:g} s"
    return f"{told}, last: {replica.life.reason}; see {replica.folder}"


def _silence_warning(replica: Replica) -> str:
    """Return what there is to say where only the canary's old connection is answered."""
    since, now = replica.silent_since, time.monotonic()
    if since is None or now - since < _SILENT_S or replica.life.phase is not Phase.READY:
        return ""
    told = f"replica {replica.number} has answered no new connection for {now - since:.0f} s"
    return f"{told}; see {replica.folder / LOG}"


def _graph(graph: GraphJson) -> str:
    return f"{graph['file']}, {graph['precision']} on {graph['provider']}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
