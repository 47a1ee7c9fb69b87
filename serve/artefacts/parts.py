"""Owns reading files that came from outside: plain, reached by no link, of bounded size.

A link is refused even where it leads to the right bytes: what it leads to belongs to somebody else,
and following one copies the machine's own files into whatever is made of the artefact. A second
name of the same file, a hard link, is such a link too. All of it is told from the directory entry,
before anything is opened.

The one exception is the cache of the Hugging Face hub, whose snapshots consist of links into the
`blobs` beside them; they are followed there and nowhere else.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MB = 2**20
MAX_JSON_BYTES = 4 * MB
"""Of a configuration, a manifest or labels: a few kB, or some 100 with thousands of tags."""
MAX_TOKENIZER_BYTES = 64 * MB
"""XLM-RoBERTa's, with 250,000 tokens, has 17 MB."""
MAX_GRAPH_BYTES = 2**31
"""What protobuf allows one message."""


def read_plain(path: Path, *, max_bytes: int, is_shared: bool = False) -> bytes:
    """Return a file's content.

    Args:
        path: The file.
        max_bytes: Size from which it is refused.
        is_shared: Whether it may have other names.

    Raises:
        OSError: If it is missing, unreadable, a link of either kind, no plain file, or larger;
            `strerror` says which.
    """
    seen = check_plain(path, max_bytes=max_bytes, is_shared=is_shared)
    # Should somebody put a link or a pipe there meanwhile: it is neither followed nor waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not os.path.samestat(seen, os.fstat(descriptor)):
            raise _refusal(path, "a file that was just replaced")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _refusal(path, f"one that grew beyond {max_bytes:,} bytes")
    return content


def check_plain(path: Path, *, max_bytes: int, is_shared: bool = False) -> os.stat_result:
    """Return what the directory says of a file, without opening it; see `read_plain`.

    Raises:
        OSError: As `read_plain` does.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise _refusal(path, "a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise _refusal(path, "a folder, device or pipe")
    if found.st_nlink > 1 and not is_shared:
        raise _refusal(path, f"a file with {found.st_nlink} names, a hard link")
    if found.st_size > max_bytes:
        raise _refusal(path, f"{found.st_size:,} bytes, more than {max_bytes:,}")
    return found


def unlinked(path: Path) -> Path:
    """Return where a file of the hub's cache really lies; any other path as it is.

    A link that leads anywhere but into the `blobs` of its own model stays one, to be refused.
    """
    snapshot = path.parent.absolute()
    if not path.is_symlink() or snapshot.parent.name != "snapshots":
        return path
    blobs = snapshot.parent.parent / "blobs"
    target = Path(os.path.normpath(snapshot / path.readlink()))
    return target if target.parent == blobs and not blobs.is_symlink() else path


def _refusal(path: Path, got: str) -> OSError:
    return OSError(errno.EPERM, got, str(path))
