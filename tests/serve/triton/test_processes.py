"""Tests telling processes apart, and sweeping what a killed server leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.triton.processes import (
    SHARED_MEMORY,
    is_alive,
    processes_of,
    shared_memory_of,
    start_ticks,
    sweep,
    wait_until,
)

PREFIX = f"linetag-test-{os.getpid()}-"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; time.sleep(60)", PREFIX]
    with subprocess.Popen(command) as process:
        wait_until(lambda: process.pid in processes_of(PREFIX), timeout_s=5.0)
        yield process
        process.kill()


def test_a_process_is_known_by_its_id_and_its_start(sleeper: subprocess.Popen[bytes]) -> None:
    ticks = start_ticks(sleeper.pid)
    assert ticks is not None
    assert is_alive(sleeper.pid, ticks)
    assert not is_alive(sleeper.pid, ticks - 1), "another process that had this id before"


def test_a_process_that_ended_but_was_not_waited_for_is_dead(
    sleeper: subprocess.Popen[bytes],
) -> None:
    ticks = start_ticks(sleeper.pid)
    assert ticks is not None
    sleeper.kill()
    assert wait_until(lambda: not is_alive(sleeper.pid, ticks), timeout_s=5.0)
    assert Path(f"/proc/{sleeper.pid}").exists(), "a zombie until it is waited for"


def test_sweeping_takes_what_carries_the_prefix_and_nothing_else(
    sleeper: subprocess.Popen[bytes],
) -> None:
    ours, other = SHARED_MEMORY / f"{PREFIX}region", SHARED_MEMORY / f"other-{PREFIX}"
    try:
        ours.touch()
        other.touch()
        assert shared_memory_of(PREFIX) == [ours]
        sweep(PREFIX)
        assert not ours.exists()
        assert other.exists()
        assert sleeper.wait(timeout=5) == -9
        assert processes_of(PREFIX) == []
    finally:
        ours.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def test_waiting_ends_with_the_condition_or_the_time() -> None:
    assert wait_until(lambda: True, timeout_s=0.0)
    before = time.monotonic()
    assert not wait_until(lambda: False, timeout_s=0.05)
    assert time.monotonic() - before >= 0.05


def test_no_process_has_an_id_beyond_the_kernels_largest() -> None:
    assert start_ticks(2**30) is None
