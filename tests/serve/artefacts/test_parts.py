"""Tests what happens when a file is replaced between the look at it and its opening."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from serve.artefacts import parts
from serve.artefacts.parts import read_plain

MAX_BYTES = 100
STUCK_S = 20.0
"""From when on a test that waits for a pipe's other end is taken for stuck."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "part").write_bytes(b"sound")
    return tmp_path / "part"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return what has something done to a file once it was looked at, before it is opened."""

    def arrange(act: Callable[[], object]) -> None:
        def look(path: Path, *, max_bytes: int, is_shared: bool = False) -> os.stat_result:
            seen = real(path, max_bytes=max_bytes, is_shared=is_shared)
            act()
            return seen

        monkeypatch.setattr(parts, "check_plain", look)

    real = parts.check_plain
    return arrange


@contextmanager
def never_stuck() -> Iterator[None]:
    """Fail where the block waits for ever; time plays no other part."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError("waits for the other end of a pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, STUCK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_a_file_that_nobody_touches_is_read(
    path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: None)
    assert read_plain(path, max_bytes=MAX_BYTES) == b"sound"


def test_a_link_put_in_its_place_is_not_followed_even_to_the_same_file(
    path: Path, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    def swap() -> None:
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")

    meanwhile(swap)
    with pytest.raises(OSError, match="part") as caught:
        read_plain(path, max_bytes=MAX_BYTES)
    assert caught.value.errno == errno.ELOOP


def test_another_file_put_in_its_place_is_not_read(
    path: Path, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    (tmp_path / "other").write_bytes(b"other")
    meanwhile(lambda: (tmp_path / "other").replace(path))
    with pytest.raises(OSError, match="a file that was just replaced"):
        read_plain(path, max_bytes=MAX_BYTES)


def test_a_pipe_put_in_its_place_is_neither_waited_for_nor_read(
    path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    def swap() -> None:
        path.rename(path.with_name("moved"))  # or the pipe would get its inode
        os.mkfifo(path)

    meanwhile(swap)
    with never_stuck(), pytest.raises(OSError, match="a file that was just replaced"):
        read_plain(path, max_bytes=MAX_BYTES)


def test_a_file_that_grows_meanwhile_is_refused(
    path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: path.write_bytes(bytes(MAX_BYTES + 1)))
    with pytest.raises(OSError, match="one that grew beyond 100 bytes"):
        read_plain(path, max_bytes=MAX_BYTES)
    meanwhile(lambda: path.write_bytes(bytes(MAX_BYTES)))
    with pytest.raises(OSError, match="101 bytes, more than 100"):  # at the look, this time
        read_plain(path, max_bytes=MAX_BYTES)
