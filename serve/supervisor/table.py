"""Owns the status as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator

from serve.supervisor.health import Health
from serve.supervisor.status import ReplicaStatus

_MB = 1e6


def describe(health: Health) -> str:
    """Return a health as lines for a person."""
    return "\n".join(f"{name:<12}{value}" for name, value in _rows(health))


def _rows(health: Health) -> Iterator[tuple[str, str]]:
    yield "ready", "yes" if health.is_ready else f"no: {health.problem}"
    if status := health.supervisor:
        yield "supervisor", f"process {status.pid}, started {status.started}"
        yield "repository", status.repository
        yield "Triton", status.triton or "unknown"
        if status.metrics_url:
            yield "metrics", f"http://{status.metrics_url}/metrics"
        for warning in status.warnings:
            yield "warning", warning
        for replica in status.replicas:
            yield from _replica_rows(replica)


def _replica_rows(replica: ReplicaStatus) -> Iterator[tuple[str, str]]:
    canary = "" if replica.canary_ms is None else f", canary {replica.canary_ms:.1f} ms"
    yield f"replica {replica.number}", f"{replica.phase} since {replica.since}{canary}"
    process = f", process {replica.pid}" if replica.pid else ""
    yield "  gRPC", f"{replica.url}{process}"
    if replica.http_url:
        yield "  HTTP", replica.http_url
    if replica.graph:
        answering = f"version {replica.version}: " if replica.version else ""
        yield "  graph", f"{answering}{replica.graph}"
    for version in replica.versions:
        yield f"  {version.model} {version.version}", f"{version.state} {version.reason}".strip()
    if usage := replica.usage:
        grown = usage.memory_bytes - (replica.ready_memory_bytes or usage.memory_bytes)
        yield "  memory", f"{usage.memory_bytes / _MB:,.0f} MB, {grown / _MB:+,.0f} MB since ready"
        yield "  files", f"{usage.num_descriptors:,} of {usage.max_descriptors:,} open"
    if replica.restarts:
        counts = ", ".join(f"{cause} {number}" for cause, number in replica.restarts.items())
        yield "  restarts", f"{counts}; last: {replica.reason}"
