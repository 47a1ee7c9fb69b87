"""Tests that a system is halted at rest, and runs in its turn only."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from benchmarks import halting
from benchmarks.halting import REST_S, end, halt, running

GROUP = 4711


def test_a_system_runs_in_its_turn_and_rests_before_it_is_halted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    monkeypatch.setattr(halting.os, "killpg", lambda *sent: done.append(sent))
    monkeypatch.setattr(halting.time, "sleep", done.append)
    with running(GROUP):
        assert done == [(GROUP, signal.SIGCONT)]
    assert done[1:] == [REST_S, (GROUP, signal.SIGSTOP)]


@pytest.mark.parametrize("ignored", [[], [signal.SIGTERM]])
def test_a_halted_process_is_ended_whether_it_hears_the_stop_or_not(
    ignored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halting, "STOP_TIMEOUT_S", 10.0 if not ignored else 0.1)
    code = (
        f"import signal; [signal.signal(s, signal.SIG_IGN) for s in {[*map(int, ignored)]}]; "
        "print(flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        process.stdout.readline()
        halt(process.pid)
        end(process)
    assert process.returncode == -(signal.SIGKILL if ignored else signal.SIGTERM)
    end(process)  # once more does nothing


def test_an_end_waits_for_no_lock_that_a_signal_left_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(halting, "STOP_TIMEOUT_S", 0.2)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(command, start_new_session=True)
    lock = vars(process)["_waitpid_lock"]
    with lock:
        end(process)
    assert process.wait(timeout=20.0) in (-signal.SIGTERM, -signal.SIGKILL)
