"""Owns writing that is whole or not at all, and the lock on a folder."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

_NEW, _OLD = "new", "old"
"""Beside a folder that is being replaced: what is in the making, and what it takes the place of."""
_LEFT_S = 86_400.0
"""A day: nobody takes so long over a file, and clocks of a shared disk differ by less."""


@contextmanager
def locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Keep others out of a folder who lock it too; the lock dies with its holder.

    Raises:
        BlockingIOError: If somebody else is in there, unless we are to wait.
        OSError: If the folder cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # which names no folder
            raise OSError(error.errno, error.strerror, str(folder)) from error
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked meanwhile has it open, too
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and onto the disk; what is no file is written into."""
    with _staged(path) as staging:
        staging.write_bytes(content)


@contextmanager
def replacing_file(path: Path) -> Iterator[TextIO]:
    """Give an empty UTF-8 file that takes the place of `path` when the block ends well.

    All of it is on the disk by then. What is no file, a pipe or /dev/stdout, is written into.
    """
    with (
        _staged(path) as staging,
        staging.open("w", encoding="utf-8", newline="\n") as file,
    ):
        yield file


@contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """Give the name of an empty file that takes the place of `path` when the block ends well.

    Nobody else has its name, though processes of several containers share numbers and a folder.
    A crash leaves it there; it is swept when the same file is written a day later.

    Raises:
        OSError: Naming `path`, if it cannot be written.
    """
    if not path.name:  # "", "." and "/" are folders
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    staging = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield staging
            _sweep(path, staging.stat().st_mtime - _LEFT_S)
            staging.replace(path)
        finally:
            staging.unlink(missing_ok=True)
    except OSError as error:
        _name(error, staging, path)
        raise


def _name(error: OSError, staging: Path, path: Path) -> None:
    """Have an error name what a user asked for, not what is in the making of it, or nothing."""
    if error.filename is None and error.errno is not None:
        error.filename = str(path)
    elif isinstance(error.filename, str) and Path(error.filename).is_relative_to(staging):
        error.filename = str(path / Path(error.filename).relative_to(staging))


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """Give the same for a name of a user's: beside the file it leads to, or what is no file.

    The content is on the disk before it has its name, and its name when the block has ended. Who
    may read the old file may read the new one, and nobody else. Its folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    if path.is_symlink() and os.readlink(path).startswith("/proc/"):  # /dev/stdout, of a shell's >>
        raise OSError(errno.EINVAL, "a stream that leads to a file; name the file", str(path))
    file = Path(os.path.realpath(path)) if path.is_symlink() else path
    mode = stat.S_IMODE(file.stat().st_mode) & 0o777 if file.is_file() else None
    with staged_file(file) as staging:
        if mode is not None:
            _set_mode(staging, 0o600)  # until it is whole; the old one's may not let us write
        yield staging
        sync(staging)
        if mode is not None:
            _set_mode(staging, mode)
    with suppress(PermissionError):  # names may be put into a folder whose list is not for us
        sync(file.parent)


def _set_mode(path: Path, mode: int) -> None:
    with suppress(OSError):  # a disk without modes
        path.chmod(mode)


def _sweep(path: Path, before: float) -> None:
    """Remove files in the making of `path` that nobody has written to since; times are the disk's.

    A younger one may be another process's, even of another machine.
    """
    for left in remains(path):
        with suppress(OSError):  # gone, or not for us to remove
            if left.stat().st_mtime < before:
                left.unlink()


def remains(path: Path) -> list[Path]:
    """Return the files in the making of `path`: somebody's at work, or left by a crash."""
    found = path.parent.glob(f".{glob.escape(path.name)}.*")
    return [
        file for file in found if re.fullmatch(r"[0-9a-f]{16}", file.name[len(path.name) + 2 :])
    ]


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give an empty folder beside `target` that takes its place when the block ends well.

    All of it is on the disk by then. Whatever interrupts it, what was there before is there after,
    or what is new; what a kill kept from being put back is put back the next time, and other
    remains of a kill are removed.

    Raises:
        OSError: Naming what is in `target`, if it cannot be written.
    """
    place = target.absolute()  # "." has no name
    place.parent.mkdir(parents=True, exist_ok=True)
    _mend(place)
    work = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    staging, old = work / _NEW, work / _OLD
    with _lived_in(work):
        try:
            staging.mkdir()  # only now: what holds something and is not locked is nobody's
            yield staging
            sync_below(staging)
            try:
                if place.exists():
                    place.rename(old)
                staging.rename(place)
            except BaseException:
                if old.exists() and not place.exists():
                    old.rename(place)
                raise
            sync(place.parent)
        except OSError as error:
            _name(error, staging, target)
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _lived_in(work: Path) -> Iterator[None]:
    """Let others see that a folder in the making is somebody's, as far as its disk knows locks."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(locked(work, wait=False))
        yield


def _mend(target: Path) -> None:
    """Put back what a killed process had moved away for `target`, and remove its remains."""
    for work in target.parent.glob(f".{glob.escape(target.name)}.*"):
        is_ours = re.fullmatch(r"[a-z0-9_]{8}", work.name[len(target.name) + 2 :])  # mkdtemp's
        # Who cannot write there, or on a disk without locks cannot know, leaves it.
        with suppress(OSError):
            if is_ours and not work.is_symlink() and _is_in_the_making(work):
                with locked(work, wait=False):
                    _mend_from(work, target)


def _is_in_the_making(work: Path) -> bool:
    """Return whether a folder holds what `replacing` puts there; a user's may have such a name."""
    names = {path.name for path in work.iterdir()}
    return bool(names) and names <= {_NEW, _OLD}


def _mend_from(work: Path, target: Path) -> None:
    """Do so from one process's folder, which has ended."""
    if (work / _OLD).exists() and not target.exists():
        (work / _OLD).rename(target)
        sync(target.parent)
    shutil.rmtree(work, ignore_errors=True)


def sync_below(folder: Path) -> None:
    """Force a folder with all that is below it onto the disk."""
    for below, _, names in os.walk(folder):
        for name in names:
            sync(Path(below) / name)
        sync(Path(below))


def sync(path: Path) -> None:
    """Force a file's content, or a folder's list of names, onto the disk.

    Some disks, of a network or in user space, know no such thing as the latter.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):
            raise
    finally:
        os.close(descriptor)
