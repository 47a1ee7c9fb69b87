"""Tests what is said where a process may open too few files; each runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve.descriptors import check_descriptors
from serve.triton.failures import Failed, Failure, explain

ROOT = Path(__file__).resolve().parents[2]
CLIENT = """
import contextlib, os, resource
from serve.client import TritonTagger
from serve.errors import ServerError
import serve.client.wire
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
with contextlib.suppress(OSError):
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
os.close(held.pop())
try:
    TritonTagger("127.0.0.1:1").tag(["fix pump"])
except ServerError as error:
    print(error)
"""


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("verb", "limit"), [("top", 16), ("tag", 16), ("start", 16), ("start --detach", 200)]
)
def test_a_command_that_may_open_too_few_files_says_so_and_leaves_nothing(
    tmp_path: Path, verb: str, limit: int
) -> None:
    done = run(f"ulimit -n {limit}; exec {sys.executable} -m serve {verb}", tmp_path)
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert f"with the limit of {limit}; raise the limit with ulimit -n" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("verb", "said"), [("status", "not started"), ("stop", "no server")])
def test_what_is_needed_when_files_are_short_does_without(
    tmp_path: Path, verb: str, said: str
) -> None:
    done = run(f"ulimit -n 16; exec {sys.executable} -m serve {verb}", tmp_path)
    assert said in done.stdout + done.stderr
    assert "limit" not in done.stdout + done.stderr


def test_a_client_made_with_hardly_a_file_left_fails_and_its_process_does_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    done = run(f"exec {sys.executable} client.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "expected to open 16 more files, got 1 with the limit of 64; raise" in done.stdout


def test_a_connection_for_which_there_was_no_descriptor_is_told_as_that() -> None:
    details = "failed to connect to all addresses; last error: socket: Too many open files (24)"
    error = explain(Failed(Failure.UNREACHABLE, details), url="h:1", deadline_s=1.0, note="x")
    assert str(error).endswith(
        "; raise the limit with ulimit -n 1024, or close what this process has open (x)"
    )


def test_files_are_closed_again() -> None:
    before = os.listdir("/proc/self/fd")
    check_descriptors(32)
    assert os.listdir("/proc/self/fd") == before
