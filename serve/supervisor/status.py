"""Owns what the supervisor tells about itself: `status.json`, written anew each second.

Whoever reads it needs no connection to the supervisor, and after its death finds how things were.

A supervisor runs on when its release is replaced. What is needed to stop it, and to restart its
servers, is therefore read of any release's: those keys must keep their names and meanings.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from serve.errors import ServerError
from serve.files import staged_file
from serve.records import read_record
from serve.supervisor.figures import Figures
from serve.supervisor.life import Phase
from serve.supervisor.resources import Usage
from serve.triton.names import ModelVersion
from serve.triton.processes import is_alive

STATUS = "status.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaGlance:
    """What every release says of a replica.

    Attributes:
        number: Its number, from 0.
        phase: Where it is in its life.
        pid: Its server's process; None when there is none.
    """

    number: int
    phase: str
    pid: int | None

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.phase == Phase.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus(ReplicaGlance):
    """How a replica is doing.

    Attributes:
        number: Its number, from 0.
        phase: Where it is in its life.
        since: When that began, ISO 8601 in UTC.
        url: Address of gRPC for clients on this machine, `host:port`; the same after a restart.
        http_url: Address of HTTP, or None where it is off.
        metrics_url: Address of its own metrics.
        log: Its log file.
        pid: Its server's process; None when there is none.
        restarts: How often it was restarted, by cause.
        num_failures: Failures that count against it now.
        reason: Why it last ended; empty if it never did.
        canaries: What came of its canaries, counted.
        canary_ms: How long its last canary took; None unless it serves and answered that rightly.
        version: The model's version that answered it; empty likewise.
        graph: The graph that answers, its precision and provider; empty before the first look.
        versions: Every version the server knows of.
        usage: What its processes use; None before the first look.
        ready_memory_bytes: Its memory when it was ready with these versions; growth counts from
            there. None before the first look, and while a version is being loaded.
        figures: What it did; None before the first look.
    """

    number: int
    phase: Phase
    since: str
    url: str
    http_url: str | None
    metrics_url: str
    log: str
    pid: int | None
    restarts: dict[str, int]
    num_failures: int
    reason: str
    canaries: dict[str, int]
    canary_ms: float | None
    version: str
    graph: str
    versions: tuple[ModelVersion, ...]
    usage: Usage | None
    ready_memory_bytes: int | None
    figures: Figures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What every release says of a supervisor.

    Attributes:
        pid: The supervisor's process.
        start_ticks: When that process started, in clock ticks since boot.
        replicas: Its replicas.
    """

    pid: int
    start_ticks: int
    replicas: tuple[ReplicaGlance, ...]

    def is_running(self) -> bool:
        """Return whether the very supervisor still runs."""
        return is_alive(self.pid, self.start_ticks)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStatus(Glance):
    """How a supervisor and its replicas are doing.

    Attributes:
        pid: The supervisor's process.
        start_ticks: When that process started, in clock ticks since boot.
        started: Time of its start, ISO 8601 in UTC.
        updated: Time of this status.
        triton: Triton's version; empty before the first answer.
        repository: The model repository.
        metrics_url: Address of the supervisor's own metrics, or None where they are off.
        warnings: What the operator should know.
        replicas: The replicas.
    """

    pid: int
    start_ticks: int
    started: str
    updated: str
    triton: str
    repository: str
    metrics_url: str | None
    warnings: tuple[str, ...]
    replicas: tuple[ReplicaStatus, ...]

    @property
    def num_ready(self) -> int:
        """How many replicas answer."""
        return sum(replica.is_ready for replica in self.replicas)


def write_status(folder: Path, status: SupervisorStatus) -> None:
    """Write the status, whole or not at all; a crash of the machine may take it."""
    with staged_file(folder / STATUS) as staging:
        staging.write_text(json.dumps(asdict(status)))


def read_status(folder: Path) -> SupervisorStatus | None:
    """Return the status in a folder, or None if there is none.

    Raises:
        ServerError: If it cannot be read as one.
    """
    path = folder / STATUS
    try:
        return read_record(SupervisorStatus, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ServerError(
            f"{path}: expected the status of a supervisor of this release, got {error}; end "
            "another one with python -m serve stop, then python -m serve start"
        ) from error


def glance(folder: Path) -> Glance | None:
    """Return what any release's status says; None for what a crash or a full disk left of one."""
    try:
        return read_record(Glance, json.loads((folder / STATUS).read_bytes()), is_open=True)
    except (OSError, ValueError, RecursionError):
        return None


def status_if_whole(folder: Path) -> SupervisorStatus | None:
    """Return the status in a folder; None also for what a crash or a full disk left of one."""
    try:
        return read_status(folder)
    except ServerError:
        return None
