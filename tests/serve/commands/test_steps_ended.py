"""Tests that a step which a signal ends is undone, as by Ctrl-C; a stand-in keeps it waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.repository import publish, traffic_of, versions
from serve.signals import interrupting
from serve.triton.names import ENCODER
from serve.triton.processes import wait_until
from serve.versions.folders import versions_in
from serve.versions.history import Step, read_events
from tests.serve.stand_in import stand_in

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_publication_that_a_signal_ends_is_refused(
    tmp_path: Path, bundle: Path, number: int
) -> None:
    """A time-out of cron, a connection that closed: servers must not keep the version."""
    repository = tmp_path / "repository"
    publish(bundle, repository)
    before = traffic_of(repository)
    command = [sys.executable, "-m", "serve", "publish", "--bundle", str(bundle)]
    command += ["--repository", str(repository)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        stand_in(tmp_path / "triton", repository) as state,  # it never listens, and is waited for
        subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process,
    ):
        assert wait_until(lambda: versions_in(repository / ENCODER) == [1, 2], timeout_s=30.0)
        process.send_signal(number)
        assert wait_until(
            lambda: process.poll() is not None or len(read_events(repository)) == 2, timeout_s=30.0
        )
        os.kill(state.pid, signal.SIGKILL)
    assert process.returncode == 1
    assert read_events(repository)[-1].step == Step.REFUSE
    assert (versions(repository), traffic_of(repository)) == ([1], before)


def end(number: int, undo: Callable[[], None]) -> None:
    """End what is under way by a signal, and undo it."""
    with interrupting():
        try:
            os.kill(os.getpid(), number)
        finally:
            undo()


def test_a_closed_terminal_that_tells_so_twice_does_not_end_the_undoing() -> None:
    undone: list[int] = []

    def undo() -> None:
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
            undone.append(number)

    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGHUP, undo)
    assert undone == [signal.SIGHUP, signal.SIGTERM]


def test_ctrl_c_ends_the_undoing_too() -> None:
    undone: list[int] = []

    def undo() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        undone.append(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGTERM, undo)
    assert undone == []
