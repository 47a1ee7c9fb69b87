"""Tests what is said of servers from outside, from the last status of their supervisor."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve.supervisor.health import Health, read_health
from serve.supervisor.life import Phase
from serve.supervisor.status import write_status
from serve.triton.processes import start_ticks
from tests.serve.supervisor.replicas import replica, supervised

KILLED, ENDED = "killed by SIGKILL", "ended by itself"
READY = (Phase.READY, KILLED)  # since long: it came back


def health(
    folder: Path, *replicas: tuple[Phase, str], age_s: float = 0.0, is_alive: bool = True
) -> Health:
    """Return what is said of replicas in a phase that ended for a reason before, or never."""
    updated = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    told = [
        replace(replica(number, phase, 1, updated), reason=reason)
        for number, (phase, reason) in enumerate(replicas)
    ]
    ticks = (start_ticks(os.getpid()) or 0) + (not is_alive)  # another process of that number
    write_status(folder, supervised(*told, now=updated, pid=os.getpid(), start_ticks=ticks))
    return read_health(folder)


def test_servers_that_were_never_started_are_told_how_to(tmp_path: Path) -> None:
    problem = "not started; start it with python -m serve start"
    assert read_health(tmp_path) == Health(False, False, problem, None)


def test_servers_of_which_all_answer_are_ready_whatever_was_before(tmp_path: Path) -> None:
    found = health(tmp_path, READY, (Phase.READY, ""), age_s=5.0)
    assert (found.is_running, found.is_ready, found.problem) == (True, True, None)
    assert found.supervisor is not None


@pytest.mark.parametrize(
    ("second", "third", "problem"),
    [
        ((Phase.STARTING, ENDED), READY, f"2 of 3 ready (replica 1: {ENDED})"),
        ((Phase.WAITING, ENDED), (Phase.ENDING, KILLED), f"1 of 3 ready (replica 1: {ENDED})"),
        ((Phase.STARTING, ""), (Phase.ENDING, KILLED), f"1 of 3 ready (replica 2: {KILLED})"),
        ((Phase.STARTING, ""), READY, "2 of 3 ready (no reason known)"),
    ],
)
def test_the_first_replica_that_is_down_for_a_reason_is_told(
    tmp_path: Path, second: tuple[Phase, str], third: tuple[Phase, str], problem: str
) -> None:
    found = health(tmp_path, READY, second, third)
    assert (found.is_running, found.is_ready, found.problem) == (True, False, problem)


@pytest.mark.parametrize("age_s", [60.0, -3_600.0])
def test_a_supervisor_that_says_nothing_any_more_is_told_though_it_lives(
    tmp_path: Path, age_s: float
) -> None:
    found = health(tmp_path, READY, age_s=age_s)
    assert (found.is_running, found.is_ready) == (True, False)
    assert found.supervisor is not None
    since = found.supervisor.updated
    assert found.problem == f"the supervisor has said nothing since {since}; see {tmp_path}"


def test_a_supervisor_that_ended_is_told_with_the_time_and_the_reason(tmp_path: Path) -> None:
    found = health(tmp_path, (Phase.ENDING, ENDED), is_alive=False)
    assert (found.is_running, found.is_ready) == (False, False)
    assert found.supervisor is not None
    assert found.problem == (
        f"the supervisor ended at {found.supervisor.updated} (replica 0: {ENDED}), see {tmp_path}; "
        "python -m serve start clears its remains and starts anew"
    )
