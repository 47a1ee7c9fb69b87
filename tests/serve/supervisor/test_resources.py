"""Tests what is seen of processes: memory, file descriptors, whether they compute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from serve.supervisor.resources import Activity, Usage, usage
from serve.triton.processes import processes_of, wait_until

PREFIX = f"linetag-test-{os.getpid()}-use-"
HOLD = "memory = bytearray(b'x') * 50_000_000; files = [open('/dev/null') for _ in range(40)]"
IDLE = "import time; print(flush=True); time.sleep(60)"
SPIN = "print(flush=True)\nwhile True: pass"
Starter = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Starter]:
    running: list[subprocess.Popen[bytes]] = []

    def run(script: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", script, f"--id={PREFIX}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def busy_over(seconds: float) -> bool:
    activity = Activity(PREFIX)
    activity.is_busy(0.0)
    time.sleep(seconds)
    return activity.is_busy(seconds)


def used(server: int) -> Usage:
    return usage(PREFIX, processes_of(PREFIX), server)


def test_memory_of_one_s_own_and_descriptors_are_counted(start: Starter) -> None:
    assert used(1).memory_bytes == 0
    server = start(IDLE).pid
    before = used(server)
    assert before.server_bytes == before.memory_bytes
    start(f"{HOLD}; {IDLE}")
    after = used(server)
    assert abs(after.server_bytes - before.server_bytes) < 1_000_000
    assert 50_000_000 <= after.memory_bytes - before.memory_bytes < 80_000_000
    assert after.num_descriptors >= before.num_descriptors + 40
    assert after.max_descriptors > after.num_descriptors


def test_a_process_that_computes_is_busy_and_one_that_sleeps_is_not(start: Starter) -> None:
    start(IDLE)
    assert not busy_over(0.5)
    start(SPIN)
    assert busy_over(0.5)


def test_a_process_that_was_stopped_makes_its_server_idle_whatever_the_others_do(
    start: Starter,
) -> None:
    start(SPIN)
    stopped = start(SPIN)
    stopped.send_signal(signal.SIGSTOP)
    assert wait_until(lambda: not busy_over(0.05), timeout_s=5.0)
    stopped.send_signal(signal.SIGCONT)
    assert wait_until(lambda: busy_over(0.2), timeout_s=5.0)


def test_nothing_is_not_busy() -> None:
    assert not busy_over(0.05)
