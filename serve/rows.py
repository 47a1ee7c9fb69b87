"""Owns files that get a line whenever something has ended, over days and from several processes.

A line whose end a crash or a full disk cut off is none: it is passed over, and gone with the next.
"""

from __future__ import annotations

import fcntl
from contextlib import suppress
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
        OSError: Naming the file, if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("ab") as file:
            with suppress(OSError):  # its disk knows no locks
                fcntl.flock(file, fcntl.LOCK_EX)  # else another's half line looks cut off
            if path.is_file():  # no device
                file.truncate(path.read_bytes().rfind(b"\n") + 1)
            file.write(f"{line}\n".encode())
            file.flush()
            if path.is_file():
                sync(path)
                sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
