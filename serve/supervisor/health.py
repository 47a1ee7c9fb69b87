"""Owns the verdict from outside: whether a supervisor lives, keeps up, and all servers answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serve.supervisor.status import SupervisorStatus, read_status

_STALE_S = 10.0
"""A supervisor writes its status each second."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the servers of a folder are doing.

    Attributes:
        is_running: Whether their supervisor lives.
        is_ready: Whether every server answers, as far as a live supervisor says.
        problem: Why not, and the remedy; None when they do.
        supervisor: Its last status; None if none was started.
    """

    is_running: bool
    is_ready: bool
    problem: str | None
    supervisor: SupervisorStatus | None


def read_health(folder: Path) -> Health:
    """Return how the servers of a folder are doing.

    Raises:
        ServerError: If the status cannot be read.
    """
    status = read_status(folder)
    if status is None:
        return Health(False, False, "not started; start it with python -m serve start", None)
    if not status.is_running():
        problem = (
            f"the supervisor ended at {status.updated} ({_last_reason(status)}), see {folder}; "
            "python -m serve start clears its remains and starts anew"
        )
        return Health(False, False, problem, status)
    age_s = (datetime.now(UTC) - datetime.fromisoformat(status.updated)).total_seconds()
    if abs(age_s) > _STALE_S:  # below 0 the clock went back: one that lives says something soon
        problem = f"the supervisor has said nothing since {status.updated}; see {folder}"
        return Health(True, False, problem, status)
    if status.num_ready < len(status.replicas):
        problem = f"{status.num_ready} of {len(status.replicas)} ready ({_last_reason(status)})"
        return Health(True, False, problem, status)
    return Health(True, True, None, status)


def _last_reason(status: SupervisorStatus) -> str:
    """Return why a replica that is not ready ended, as far as one did."""
    down = [replica for replica in status.replicas if not replica.is_ready and replica.reason]
    return f"replica {down[0].number}: {down[0].reason}" if down else "no reason known"
