"""Owns what holds in a repository, and letting the disk say the same.

A step that died before its line in the history is undone, one that died after it is finished. Where
there is no history yet, the newest version serves, and a line says so before the next step: it may
be an old repository's, or the first version of a new one, which nobody else could serve instead.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from serve.errors import BundleError, ServerError, in_words, needing
from serve.files import locked
from serve.triton.names import MODEL
from serve.versions.content import manifest_digest
from serve.versions.damage import aside
from serve.versions.folders import (
    KEPT,
    age_kept,
    clear,
    keep,
    kept_folder,
    remove,
    version_folder,
    versions_in,
)
from serve.versions.history import Step, read_events, read_traffic, record
from serve.versions.traffic import Traffic

NUM_KEPT = 2
"""Versions to go back to."""
_OTHERS_TO_WRITE = (errno.EROFS, errno.EACCES, errno.EPERM)


def versions(repository: Path) -> list[int]:
    """Return the versions that are served, oldest first."""
    return versions_in(repository / MODEL)


def traffic_of(repository: Path) -> Traffic:
    """Return which versions callers ask for: as agreed, or the newest there is where nothing is.

    What somebody removed by hand is asked for by nobody, and what is kept stays to go back to.

    Raises:
        ServerError: If the history is damaged.
    """
    agreed = read_traffic(repository)  # first: a step writes its line before a version goes
    # Before and after: one may be set aside, or put back, between two looks.
    there = sorted({*versions(repository), *aside(repository), *versions(repository)})
    if agreed and agreed.stable in (0, *there):
        return agreed if agreed.canary in (0, *there) else replace(agreed, canary=0, share=0.0)
    older = sorted({*there[:-1], *versions_in(repository / MODEL / KEPT)}, reverse=True)
    return Traffic(stable=max(there, default=0), kept=tuple(older[:NUM_KEPT]))


@contextlib.contextmanager
def writing(repository: Path) -> Iterator[None]:
    """Tell in our words that a repository cannot be written.

    Raises:
        ServerError: If an OSError is raised in the block.
    """
    try:
        yield
    except OSError as error:
        raise ServerError(
            f"{repository / MODEL}: expected a writable folder, got {in_words(error)}"
        ) from error


def settle(repository: Path) -> None:
    """Finish or undo what a step that died left, unless a step is under way just now.

    A repository that is only to be read is served as it is, if all its versions are agreed on.

    Raises:
        ServerError: If the history is damaged, or the repository cannot be written for want of
            room, say, or to take away a version that nobody agreed on.
    """
    if not (repository / MODEL).is_dir():
        return
    with writing(repository):
        try:
            with locked(repository, wait=False):
                settle_locked(repository)
        except BlockingIOError:
            pass
        except OSError as error:
            is_agreed = set(versions(repository)) <= set(traffic_of(repository).served)
            if error.errno not in _OTHERS_TO_WRITE or not is_agreed:
                raise


def settle_locked(repository: Path) -> bool:
    """Let the disk of a repository that is locked say what holds; return whether it did not.

    A version that no line tells of is one whose step died before it took hold: it goes. One that
    the last line does not name any more is kept, or goes; an older one than the history is kept.

    Raises:
        OSError: If the repository cannot be written.
        ServerError: If the history is damaged.
    """
    model = repository / MODEL
    clear(model)
    traffic = traffic_of(repository)
    agreed = read_traffic(repository)
    if traffic.stable and agreed != traffic:  # or the next version would be the newest there is
        note = "found without a history" if agreed is None else "what was agreed is gone"
        agree(repository, Step.PUBLISH, traffic.stable, traffic, note)
    known = {event.version for event in read_events(repository)}
    odd = [version for version in versions(repository) if version not in traffic.served]
    for version in odd:
        if known and version > max(known):
            refuse(repository, version, traffic, "its publication was interrupted")
        elif version in traffic.kept or version not in known:
            keep(repository, version)
        else:
            remove(version_folder(repository, version))
    for version in versions_in(model / KEPT):
        if version in known and version not in traffic.kept:
            remove(kept_folder(repository, version))
    age_kept(repository)
    settle_encoders(repository, traffic.served)
    return bool(odd)


def agree(repository: Path, step: Step, version: int, traffic: Traffic, note: str = "") -> None:
    """Let a step take hold.

    Raises:
        OSError: If the history cannot be written.
    """
    bundle = ""
    with contextlib.suppress(BundleError):
        bundle = manifest_digest(version_folder(repository, version))
    record(repository, step, version, traffic, bundle=bundle, note=note)


def refuse(repository: Path, version: int, traffic: Traffic, why: str) -> None:
    """Remove a version that did not come to serve; its number is not used again.

    Raises:
        OSError: If the repository cannot be written. Where only the line cannot, for want of space,
            the version goes all the same: the next attempt then has the space, and nothing to do.
    """
    try:
        agree(repository, Step.REFUSE, version, traffic, why.split("\n", 1)[0])
    finally:
        remove(version_folder(repository, version))


def settle_encoders(repository: Path, served: Sequence[int]) -> None:
    """Let there be an encoder for each of the versions, see `serve.versions.encoders`.

    Args:
        repository: The repository.
        served: Those that are served or about to be, the stable one first.

    Raises:
        OSError: If the repository cannot be written.
        ServerError: If the package tritonclient is not installed.
    """
    with needing("the package tritonclient", "triton"):
        from serve.versions import encoders
    encoders.settle_encoders(repository, served)
