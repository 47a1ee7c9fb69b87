"""Tests the replacement of a folder: whole, or as it was."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.errors import in_words
from serve.files import locked, replacing, replacing_file, staged_file, write_durably

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    (folder / "old").touch()
    return folder


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_takes_the_place_of_another(target: Path) -> None:
    with replacing(target) as staging:
        (staging / "new").touch()
        assert (target / "old").exists()
    assert names_below(target.parent) == ["target", "target/new"]


def test_a_folder_is_made_where_there_was_none(tmp_path: Path) -> None:
    with replacing(tmp_path / "a" / "b") as staging:
        (staging / "new").touch()
    assert names_below(tmp_path) == ["a", "a/b", "a/b/new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(target: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), replacing(target) as staging:  # noqa: PT012
        (staging / "half").touch()
        raise error
    assert names_below(target.parent) == ["target", "target/old"]


def test_an_interruption_between_the_two_renames_leaves_what_was_there(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def rename(path: Path, other: Path) -> Path:
        if path.name == "new":
            raise KeyboardInterrupt
        return real(path, other)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt), replacing(target) as staging:
        (staging / "file").touch()
    assert names_below(target.parent) == ["target", "target/old"]


def test_a_folder_is_on_the_disk_before_it_has_its_name_and_its_name_then(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def note(path: Path) -> None:
        synced.append((path.name, (target / "below").exists()))

    monkeypatch.setattr("serve.files.sync", note)
    with replacing(target) as staging:
        (staging / "below").mkdir()
        (staging / "below" / "file").touch()
    assert sorted(synced[:-1]) == [("below", False), ("file", False), ("new", False)]
    assert synced[-1] == (target.parent.name, True)


def killed_while_replacing(target: Path, *, between_the_renames: bool) -> Path:
    """Kill a process that replaces a folder; return the folder it leaves."""
    before = set(target.parent.iterdir())
    child = os.fork()
    if child == 0:
        try:
            with replacing(target) as staging:
                (staging / "half").touch()
                if between_the_renames:
                    target.rename(staging.parent / "old")
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = {*target.parent.iterdir()} - before
    return left


def test_what_a_kill_between_the_two_renames_moved_away_is_put_back(target: Path) -> None:
    killed_while_replacing(target, between_the_renames=True)
    assert not target.exists()
    with pytest.raises(ValueError, match="x"), replacing(target):
        raise ValueError("x")
    assert names_below(target.parent) == ["target", "target/old"]


def test_a_killed_processs_folder_is_removed_the_next_time(target: Path) -> None:
    killed_while_replacing(target, between_the_renames=False)
    for kept in (".target.notours", ".target2.abcd_123", "target.abcd_123"):
        (target.parent / kept / "new").mkdir(parents=True)
    (target.parent / ".target.begun_12").mkdir()  # by somebody who is about to lock it
    with replacing(target) as staging, replacing(target):
        assert staging.exists(), "whoever is at work is left alone"
    names = [".target.notours", ".target2.abcd_123", "target.abcd_123", ".target.begun_12"]
    assert {path.name for path in target.parent.iterdir()} == {*names, "target"}


def test_an_error_names_what_was_asked_for_not_what_is_in_the_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    full = os.strerror(errno.ENOSPC)

    def told(error: OSError) -> str:
        with pytest.raises(OSError) as caught, replacing(Path("parts")) as staging:  # noqa: PT011, PT012
            if error.filename:
                error.filename = str(staging / error.filename)
            raise error
        return in_words(caught.value)

    remedy = "No space left on device; make room there, or choose another place"
    assert told(OSError(errno.ENOSPC, full)) == f"parts: {remedy}"
    assert told(OSError(errno.ENOSPC, full, "dev.jsonl")) == f"parts/dev.jsonl: {remedy}"
    assert told(OSError(errno.ENOSPC, full, "/else/where")) == f"/else/where: {remedy}"
    assert told(OSError("a message")) == "a message"
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_the_place_of_another_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "below" / "a.txt"
    with replacing_file(path) as file:
        file.write("old\n")
    with replacing_file(path) as file:
        file.write("é\n")
        assert path.read_text() == "old\n"
    assert path.read_bytes() == "é\n".encode()
    assert names_below(tmp_path) == ["below", "below/a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing_file(path) as file:  # noqa: PT012
        file.write("half")
        raise error
    assert path.read_text() == "old"
    assert names_below(tmp_path) == ["a.txt"]


def test_a_file_that_cannot_be_written_whole_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note"
    path.write_text("old")

    def full(staging: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(staging))

    monkeypatch.setattr("serve.files.sync", full)
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, b"new")
    assert names_below(tmp_path) == ["note"]
    assert path.read_text() == "old"


def test_what_a_crash_left_long_ago_is_swept_and_nothing_else(tmp_path: Path) -> None:
    """A younger one may be in the making, by another process; others are of other files."""
    tokens = ["0123456789abcdef", "0" * 16]
    old, young = (f".note.{token}" for token in tokens)
    kept = [".note.txt", ".note.20240131", f".notes.{tokens[0]}", f".note.5.{tokens[0]}"]
    for name in [old, young, *kept]:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / young).touch()
    write_durably(tmp_path / "note", b"new")
    assert names_below(tmp_path) == sorted([young, *kept, "note"])
    with replacing_file(tmp_path / "notes") as file:
        file.write("new")
    kept.remove(f".notes.{tokens[0]}")
    assert names_below(tmp_path) == sorted([young, *kept, "note", "notes"])


def test_processes_with_one_number_write_the_same_file_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each container counts its processes by itself, and volumes are shared."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    path = tmp_path / "a.txt"
    with replacing_file(path) as first:
        first.write("first")
        with replacing_file(path) as second:
            second.write("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert names_below(tmp_path) == ["a.txt"]


def test_a_lock_is_let_go_of_although_a_process_forked_meanwhile_has_it_open(
    tmp_path: Path,
) -> None:
    ours, theirs = os.pipe()
    with locked(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(theirs)
            os.read(ours, 1)  # until the parent closes its end
            os._exit(0)
    try:
        with locked(tmp_path, wait=False):
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it has it open still"
        with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
            pass
    finally:
        os.close(theirs)
        os.close(ours)
        os.waitpid(child, 0)


def test_a_file_system_without_locks_is_told_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks available") as caught, locked(tmp_path):
        pass
    told = f"{tmp_path}: No locks available; choose a place whose file system has locks"
    assert in_words(caught.value) == told


def test_a_link_is_followed_and_the_file_it_leads_to_replaced(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    real = tmp_path / "pages" / "real.html"
    real.write_text("old")
    link = tmp_path / "link.html"
    link.symlink_to("pages/real.html")
    write_durably(link, b"new")
    assert (link.is_symlink(), real.read_text()) == (True, "new")
    with replacing_file(link) as file:
        file.write("newer")
    assert (link.is_symlink(), real.read_text()) == (True, "newer")


def test_a_link_where_a_file_is_to_be_made_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should somebody guess the name: in /tmp anybody may put a link there."""
    path, other = tmp_path / "a.txt", tmp_path / "other"
    other.write_text("other")
    monkeypatch.setattr(secrets, "token_hex", lambda size: "guessed")
    (tmp_path / ".a.txt.guessed").symlink_to(other)
    for write in (lambda: write_durably(path, b"new"), lambda: _replace(path, "new")):
        with pytest.raises(FileExistsError):
            write()
        assert (other.read_text(), path.exists()) == ("other", False)
        assert (tmp_path / ".a.txt.guessed").is_symlink(), "it is somebody else's"


def test_what_is_no_file_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (lambda: write_durably(pipe, b"lines"), lambda: _replace(pipe, "lines")):
        with ThreadPoolExecutor(1) as pool:
            read = pool.submit(pipe.read_text)
            write()
            assert read.result(timeout=20) == "lines"
        assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_durably(Path("/dev/full"), b"lines")
    assert not Path("/dev/full").is_file()


def _replace(path: Path, content: str) -> None:
    with replacing_file(path) as file:
        file.write(content)


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "page.html"
    with (
        pytest.raises(OSError, match=re.escape(f"'{missing}'")) as told,
        staged_file(missing),
    ):
        pass
    assert in_words(told.value) == f"{missing}: No such file or directory"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "; make room there, or choose another place"),
        (errno.EROFS, "; choose another place"),
        (errno.EACCES, "; have its owner let you, or choose another place"),
        (errno.EIO, ""),
    ],
)
def test_what_the_system_refuses_is_told_with_what_helps(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "page.html")
    assert in_words(error) == f"page.html: {os.strerror(number)}{remedy}"
    assert in_words(OSError("a message")) == "a message"
    assert in_words(ValueError("another")) == "another"


def test_a_stream_that_leads_to_a_file_is_refused(tmp_path: Path) -> None:
    """Of a shell's `>> file` what stands there would be lost."""
    (tmp_path / "all.jsonl").write_text("before")
    with (tmp_path / "all.jsonl").open("a") as file:
        link = tmp_path / "stdout"
        link.symlink_to(f"/proc/self/fd/{file.fileno()}")
        with pytest.raises(OSError, match="a stream that leads to a file; name the file"):
            write_durably(link, b"lines")
    assert (tmp_path / "all.jsonl").read_text() == "before"


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_that_names_no_file_is_told_as_the_folder_it_is(name: str) -> None:
    with pytest.raises(IsADirectoryError) as error, replacing_file(Path(name)):
        pass
    assert "name a file" in in_words(error.value)


def test_a_folder_of_a_users_own_with_such_a_name_stays(target: Path) -> None:
    own = target.parent / f".{target.name}.original"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    os.utime(own, (1.0, 1.0))
    with replacing(target) as staging:
        (staging / "file").write_text("new")
    assert (own / "notes.txt").read_text() == "mine"


def fail_to_sync_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    whole = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        whole(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_disk_that_cannot_sync_folders_is_written_to(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_sync_folders(monkeypatch, errno.EINVAL)
    with replacing(target) as staging:
        (staging / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_broken_disk_leaves_what_was_there(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(target.iterdir())
    fail_to_sync_folders(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), replacing(target) as staging:
        (staging / "new").write_text("new")
    assert sorted(target.iterdir()) == before


def test_a_disk_without_modes_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chmod(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    (tmp_path / "note").write_text("old")
    monkeypatch.setattr(Path, "chmod", chmod)
    write_durably(tmp_path / "note", b"new")
    assert (tmp_path / "note").read_text() == "new"
