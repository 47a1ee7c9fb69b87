"""Tests in which order things reach the disk: the content before the name, the name before the end.

What the kernel is asked for is recorded by the file's inode, for names change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.signing import write_key_pair
from serve.files import replacing_file, staged_file, write_durably
from serve.versions.folders import put, staged, write_file
from serve.versions.history import HISTORY, Step, read_events, record
from serve.versions.traffic import Traffic
from train.loop.state import TrainingState, save_state

Deed = tuple[str, int]
"""What was asked of the kernel, `sync` or `rename`, and the inode it was asked for."""


@pytest.fixture
def deeds(monkeypatch: pytest.MonkeyPatch) -> list[Deed]:
    """Return what the kernel is asked for from here on, in order; it is done all the same."""
    found: list[Deed] = []
    fsync = os.fsync

    def syncing(descriptor: int) -> None:
        found.append(("sync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def moving(move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def moved(path: Path, target: Path) -> Path:
            found.append(("rename", path.stat().st_ino))
            return move(path, target)

        return moved

    monkeypatch.setattr(os, "fsync", syncing)
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, moving(getattr(Path, name)))
    return found


def inode(path: Path) -> int:
    return path.stat().st_ino


def rewrite(path: Path, content: bytes) -> None:
    with replacing_file(path) as file:
        file.write(content.decode())


Write = Callable[[Path, bytes], None]


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("write", [write_durably, rewrite])
def test_a_files_content_is_on_the_disk_before_it_has_its_name_and_its_name_then(
    tmp_path: Path, deeds: list[Deed], before: bytes | None, write: Write
) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert deeds == [("sync", inode(path)), ("rename", inode(path)), ("sync", inode(tmp_path))]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o664])
@pytest.mark.parametrize("write", [write_durably, rewrite])
def test_who_may_read_a_file_may_read_what_takes_its_place_and_nobody_else(
    tmp_path: Path, write: Write, mode: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


def test_a_state_and_its_name_are_on_the_disk(tmp_path: Path, deeds: list[Deed]) -> None:
    path = tmp_path / "a.resume.safetensors"
    save_state(path, TrainingState("this run", (), {"a": torch.ones(2)}, {}, {}))
    assert deeds == [("sync", inode(path)), ("rename", inode(path)), ("sync", inode(tmp_path))]


def test_a_key_pair_and_its_names_are_on_the_disk(tmp_path: Path, deeds: list[Deed]) -> None:
    public = write_key_pair(tmp_path / "key")
    assert deeds == [("sync", inode(path)) for path in (tmp_path / "key", public, tmp_path)]


def test_a_status_that_is_written_each_second_waits_for_no_disk(
    tmp_path: Path, deeds: list[Deed]
) -> None:
    with staged_file(tmp_path / "status.json") as staging:
        staging.write_text("{}")
    assert deeds == [("rename", inode(tmp_path / "status.json"))]


def test_a_models_file_and_then_its_name_are_on_the_disk(tmp_path: Path, deeds: list[Deed]) -> None:
    write_file(tmp_path, "config.pbtxt", b"new")
    path = tmp_path / "config.pbtxt"
    assert deeds == [("sync", inode(path)), ("rename", inode(path)), ("sync", inode(tmp_path))]


def test_all_of_a_version_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, deeds: list[Deed]
) -> None:
    target = tmp_path / "1"
    with staged(tmp_path) as staging:
        (staging / "below").mkdir()
        (staging / "below" / "graph").write_bytes(b"x")
        put(staging, target)
    *before, renamed, last = deeds
    parts = (target, target / "below", target / "below" / "graph")
    assert sorted(before) == sorted(("sync", inode(part)) for part in parts)
    assert [renamed, last] == [("rename", inode(target)), ("sync", inode(tmp_path))]


def test_a_line_of_history_is_on_the_disk_when_the_step_holds(
    tmp_path: Path, deeds: list[Deed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the line: it is read back at the moment it is synced."""
    whole: list[bool] = []
    noted = os.fsync

    def syncing(descriptor: int) -> None:
        whole.append((tmp_path / HISTORY).read_bytes().endswith(b"\n"))
        noted(descriptor)

    monkeypatch.setattr(os, "fsync", syncing)
    record(tmp_path, Step.PUBLISH, 1, Traffic(stable=1), bundle="")
    history = ("sync", inode(tmp_path / HISTORY))
    assert deeds == [history, ("sync", inode(tmp_path))], "the file, and then its name"
    record(tmp_path, Step.PROMOTE, 1, Traffic(stable=1), bundle="")
    assert deeds[2:] == [history]
    assert whole == [True, True, True]
    assert [event.step for event in read_events(tmp_path)] == [Step.PUBLISH, Step.PROMOTE]
