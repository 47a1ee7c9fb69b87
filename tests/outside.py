"""Watches files that nobody may read: what Python opens, by an audit hook, and what anybody does.

The hook tells a file by its inode, so links of either kind give it away. Native code raises no
audit events, so the kernel is asked as well: inotify reports each opening of an inode, by whatever
name and language.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_ACCESS, _IN_OPEN, _IN_NONBLOCK = 0x001, 0x020, 0o4000
_EVENT = struct.Struct("iIII")
_watched: dict[tuple[int, int], list[str]] = {}
_libc = ctypes.CDLL(None, use_errno=True)


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not _watched or not isinstance(arguments[0], str | bytes):
        return
    try:
        found = os.stat(arguments[0])
    except (OSError, ValueError):
        return
    readers = _watched.get((found.st_dev, found.st_ino))
    if readers is not None:
        readers.append(os.fsdecode(arguments[0]))


sys.addaudithook(_audit)  # there is no way to take one off again


@contextmanager
def nothing_read_of(folder: Path) -> Iterator[None]:
    """Fail if a file below a folder is opened in the block, by Python or by native code."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files, "otherwise this shows nothing"
    readers: list[str] = []
    inodes = {(s.st_dev, s.st_ino) for s in map(os.stat, files)}
    descriptor = _libc.inotify_init1(_IN_NONBLOCK)
    for path in files:
        assert _libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN | _IN_ACCESS) >= 0
    _watched.update(dict.fromkeys(inodes, readers))
    try:
        yield
    finally:
        for inode in inodes:
            del _watched[inode]
        num_events = _num_events(descriptor)
        os.close(descriptor)
    assert readers == [], "Python opened a file outside"
    assert num_events == 0, "native code opened a file outside"


def _num_events(descriptor: int) -> int:
    try:
        content = os.read(descriptor, 65536)
    except BlockingIOError:
        return 0
    return len(content) // _EVENT.size
