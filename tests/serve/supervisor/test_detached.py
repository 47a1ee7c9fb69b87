"""Tests starting a supervisor that outlives the command that starts it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.supervisor.config import SupervisorConfig
from serve.supervisor.control import OUTPUT, stop_service
from serve.supervisor.detached import _spawn, start_detached
from serve.supervisor.service import run_service
from serve.supervisor.status import STATUS
from serve.supervisor.supervisor import Supervisor
from serve.triton.logs import MAX_BYTES
from serve.triton.processes import wait_until


def test_an_output_that_cannot_be_written_is_named_not_the_program(tmp_path: Path) -> None:
    (tmp_path / OUTPUT).mkdir()
    with pytest.raises(IsADirectoryError, match=r"start\.out"):
        start_detached(["--help"], tmp_path, print)


@pytest.mark.parametrize("left", [b"", b'{"pid": '])
def test_what_a_crash_left_of_a_status_keeps_nobody_from_starting_or_stopping(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / STATUS).write_bytes(left)
    with pytest.raises(ServerError, match="unrecognized arguments: --no-such"):
        start_detached(["--no-such"], tmp_path, print)
    stop_service(tmp_path, patience_s=1.0)
    assert not (tmp_path / STATUS).exists()


def test_what_another_supervisor_writes_is_neither_cut_nor_taken_for_the_reason(
    tmp_path: Path,
) -> None:
    with (tmp_path / OUTPUT).open("w+") as another:
        another.write("ready")
        another.flush()
        with pytest.raises(ServerError, match="unrecognized arguments: --no-such"):
            start_detached(["--no-such"], tmp_path, print)
        another.seek(0)
        assert another.read() == "ready"


_WRITES = """
import os, time
os.write(1, b"refused\\n" * 8)
while os.fstat(1).st_size:
    time.sleep(0.01)
os.write(1, b"refused again\\n")
"""


def test_what_a_detached_supervisor_writes_can_be_cut_while_it_writes(tmp_path: Path) -> None:
    output = tmp_path / OUTPUT
    with _spawn([sys.executable, "-c", _WRITES], output) as process:
        assert wait_until(lambda: output.stat().st_size == 64, timeout_s=20.0)
        os.truncate(output, 0)
        assert process.wait(timeout=20) == 0
    assert output.read_bytes() == b"refused again\n"


@pytest.mark.triton
def test_what_a_detached_supervisor_writes_is_put_aside_before_it_fills_the_disk(
    repository: Path, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC writes a line for each handshake that fails, and anybody's may."""
    output = tmp_path / OUTPUT
    sizes: list[int] = []

    def run(supervisor: Supervisor, tell: Callable[[], None]) -> None:
        for content in (b"x" * MAX_BYTES, b"x"):
            with output.open("ab") as written:
                written.write(content)
            tell()
            sizes.append(output.stat().st_size)

    monkeypatch.setattr(Supervisor, "run", run)
    run_service(SupervisorConfig(repository, environment, tmp_path), lambda status: None)
    assert sizes == [MAX_BYTES, 0]
    assert (tmp_path / f"{OUTPUT}.1").stat().st_size == MAX_BYTES + 1


def test_a_supervisor_that_ends_without_a_word_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ServerError, match=r"^expected a supervisor to get ready, got .* with 1$"):
        start_detached([], tmp_path, print)

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("serve.files.sync", full)
    with pytest.raises(ServerError, match=r"start\.out: No space left on device; make room there"):
        start_detached([], tmp_path, print)
