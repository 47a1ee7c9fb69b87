"""Tests what a supervisor makes of signals, one after the other; no server runs here."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from serve.supervisor import service
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.service import run_service


class Asked:
    """A supervisor whose servers drain for as long as they are asked to end only."""

    def __init__(self, config: SupervisorConfig) -> None:
        self.config = config
        self.is_stopping = False
        self.killed: list[int] = []
        self.during_kill: Callable[[], None] = lambda: None

    def stop(self) -> None:
        self.is_stopping = True

    def kill(self) -> None:
        for number in range(2):
            self.during_kill()
            self.killed.append(number)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def run(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    numbers: Sequence[int],
    during_kill: Callable[[], None],
) -> Asked:
    """Run a supervisor that gets signals; return it."""
    made: list[Asked] = []

    def make(config: SupervisorConfig) -> Asked:
        made.append(Asked(config))
        made[0].during_kill = during_kill
        return made[0]

    def receive(supervisor: Asked, announce: object) -> None:
        for number in numbers:
            send(number)

    monkeypatch.setattr(service, "Supervisor", make)
    monkeypatch.setattr(service, "_run", receive)
    try:
        run_service(SupervisorConfig(folder=folder), lambda status: None)
    except KeyboardInterrupt:
        made[0].killed.append(-1)
    return made[0]


@pytest.mark.parametrize("third", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_signal_keeps_servers_that_are_being_killed_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, third: int
) -> None:
    insisted = run(tmp_path, monkeypatch, [signal.SIGINT] * 2, lambda: send(third))
    assert insisted.killed == [0, 1, -1]


def test_whoever_asks_twice_without_ctrl_c_loses_nothing_in_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two `serve stop` at once, a closed terminal after it."""
    numbers = [signal.SIGTERM, signal.SIGTERM, signal.SIGHUP]
    asked = run(tmp_path, monkeypatch, numbers, lambda: None)
    assert asked.is_stopping
    assert asked.killed == []
