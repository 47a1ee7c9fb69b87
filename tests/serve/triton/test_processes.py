"""Tests telling processes apart, and sweeping what a killed server leaves."""

from __future__ import annotations

import errno
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
    kill_all,
    processes_of,
    remove_shared_memory,
    shared_memory_of,
    start_ticks,
    sweep,
    wait_until,
)

ROOT = Path(__file__).resolve().parents[3]
PREFIX = f"linetag-test-{os.getpid()}-"
_KILL_AS_NOBODY = """
import os, sys
from serve.triton.processes import kill_all, processes_of
os.setuid(65534)
kill_all(sys.argv[1])
assert processes_of(sys.argv[1]) == []
"""

_MAIN_THREAD_ENDS_FIRST = """
import ctypes, os, threading, time
def wait():
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=wait).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; time.sleep(60)", f"--id={PREFIX}"]
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


def test_a_process_is_there_while_a_thread_of_it_is() -> None:
    command = [sys.executable, "-c", _MAIN_THREAD_ENDS_FIRST]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        stat = Path(f"/proc/{process.pid}/stat")
        assert wait_until(lambda: ") Z " in stat.read_text(), timeout_s=5.0)
        assert start_ticks(process.pid), "its files, and the locks on them, are not given up yet"
        assert process.stdin
        process.stdin.close()
        assert wait_until(lambda: start_ticks(process.pid) is None, timeout_s=5.0)


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


@pytest.mark.parametrize("form", ["{}", "/dev/shm/{}region", "x-{}region"])
def test_who_merely_looks_for_a_server_is_not_killed_with_it(form: str) -> None:
    with waiting(form.format(PREFIX)) as looking, waiting(f"{PREFIX}region") as stub:
        assert wait_until(lambda: processes_of(PREFIX) == [stub.pid], timeout_s=5.0)
        kill_all(PREFIX)
        assert stub.wait(timeout=5) == -9
        assert looking.poll() is None


def waiting(argument: str) -> subprocess.Popen[bytes]:
    """Return a process with an argument, which ends when its input is closed."""
    return subprocess.Popen(["/bin/sh", "-c", "read line", "sh", argument], stdin=subprocess.PIPE)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_processes_of_other_users_are_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    command = [sys.executable, "-c", _KILL_AS_NOBODY, PREFIX]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert sleeper.poll() is None


def test_waiting_ends_with_the_condition_or_the_time() -> None:
    assert wait_until(lambda: True, timeout_s=0.0)
    before = time.monotonic()
    assert not wait_until(lambda: False, timeout_s=0.05)
    assert time.monotonic() - before >= 0.05


def test_no_process_has_an_id_beyond_the_kernels_largest() -> None:
    assert start_ticks(2**30) is None


def test_a_process_that_cannot_be_asked_about_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def short_of_descriptors(path: Path) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    ticks = start_ticks(os.getpid())
    assert ticks is not None
    monkeypatch.setattr(Path, "read_text", short_of_descriptors)
    assert is_alive(os.getpid(), ticks)


def test_what_cannot_be_removed_keeps_nothing_else_in_shared_memory() -> None:
    folder, region = SHARED_MEMORY / f"{PREFIX}a", SHARED_MEMORY / f"{PREFIX}b"
    folder.mkdir()
    region.touch()
    try:
        remove_shared_memory(PREFIX)
        assert shared_memory_of(PREFIX) == [folder]
    finally:
        folder.rmdir()
        region.unlink(missing_ok=True)
