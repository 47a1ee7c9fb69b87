"""Owns the check of the place of an output folder: that `serve.files.replacing` can put one there.

It is asked before minutes or hours are spent. What is in a folder that may be replaced, its maker
knows.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from serve.errors import TaggingError


def check_place(target: Path, kind: type[TaggingError]) -> None:
    """Refuse a place where no folder can be put, in place of one that is there or where none is.

    Args:
        target: What is to be written.
        kind: The error to raise.

    Raises:
        TaggingError: Of that kind, if there is a file or a link, the folder is the current one or
            where a disk is mounted, or the system would not let us.
    """
    if problem := _problem(target):
        raise kind(f"{target}: expected {problem}")


def _problem(target: Path) -> str | None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        return "a folder or nothing, got a file or a link; choose another"
    above = next((path for path in target.absolute().parents if path.exists()), target)
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        return f"a place that can be written, got {above}; choose another"
    if not target.exists():
        return None
    if target.resolve() == Path.cwd():  # it would be gone for the shell that stands in it
        return "another folder than the current one; choose another"
    if target.is_mount():
        return "a folder that can be replaced, got one where a disk is mounted; choose one in it"
    if not _is_movable(target, above):
        return "a folder that can be replaced, got one that you may not move; choose another"
    return None


def _is_movable(folder: Path, parent: Path) -> bool:
    """Tell whether the system lets us move a folder out of its parent, which can be written.

    Its entry for the parent changes, and of a folder like /tmp only owners move things.
    """
    held, of = parent.stat(), folder.stat()
    is_owner = os.geteuid() in (0, held.st_uid, of.st_uid)
    return os.access(folder, os.W_OK) and (is_owner or not held.st_mode & stat.S_ISVTX)
