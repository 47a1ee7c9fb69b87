"""Tests starting a supervisor that outlives the command that starts it."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from serve.errors import ServerError
from serve.supervisor.control import stop_service
from serve.supervisor.detached import OUTPUT, start_detached
from serve.supervisor.status import STATUS


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
