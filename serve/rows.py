"""Owns files that get a line whenever something has ended, over days and from several processes.

A line is there or not. What a crash left of one is passed over, and cut off before the next.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from serve.files import sync


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file that have their end; none where there is no file."""
    if not path.is_file():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    return [line.decode() for line in whole]


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, onto the disk; the file and its folder are made where missing.

    Raises:
        OSError: Naming the file, if it cannot be written; the line is not there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    try:
        with path.open("ab", buffering=0) as file:  # a buffer would be written again at its close
            with suppress(OSError):  # its disk knows no locks
                fcntl.flock(file, fcntl.LOCK_EX)  # else another's half line looks cut off
            _append(file, path, f"{line}\n".encode())
        if is_new:
            sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _append(file: FileIO, path: Path, line: bytes) -> None:
    if not path.is_file():  # a device
        _write_whole(file, line)
        return
    size = path.read_bytes().rfind(b"\n") + 1
    file.truncate(size)
    try:
        _write_whole(file, line)
        os.fsync(file.fileno())
    except OSError:  # or the line would hold although it was told to have failed
        file.truncate(size)
        raise


def _write_whole(file: FileIO, line: bytes) -> None:
    if file.write(line) < len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
