"""Tests that runs keep others out of their folder, and say so before they work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from serve.errors import CheckpointError
from train.__main__ import main
from train.loop.alone import alone_in
from train.loop.state import holding


@pytest.mark.parametrize(
    "arguments",
    [
        ["--data", "none"],
        ["distil", "--teachers", "teacher", "--data", "none"],
        ["adapt", "none.txt"],
    ],
)
def test_a_second_run_is_refused_before_it_reads_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    output = tmp_path / "out"
    with holding(output):
        assert main([*arguments, "--output", str(output)]) == 1
    assert capsys.readouterr().err == (
        f"error: {output}: expected no other run there, got one at work; wait for its end, or "
        "choose another --output\n"
    )


def test_a_folder_that_cannot_be_written_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    message = "expected a folder that can be written, got one that cannot; choose another --curve"
    with pytest.raises(CheckpointError, match=message), alone_in(tmp_path, "--curve"):
        pass


@pytest.mark.parametrize("fails", [BlockingIOError("its own"), OSError("its own")])
def test_what_fails_meanwhile_is_not_taken_for_the_lock(tmp_path: Path, fails: OSError) -> None:
    with pytest.raises(OSError, match="its own"), alone_in(tmp_path / "new", "--curve"):
        raise fails


def test_a_disk_without_locks_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with alone_in(tmp_path, "--curve"):
        (tmp_path / "runs.jsonl").touch()
    assert (tmp_path / "runs.jsonl").exists()
