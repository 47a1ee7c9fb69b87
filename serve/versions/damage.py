"""Owns what to do about versions whose files were damaged since they were published.

A server goes on with what it loaded, so nobody notices until it loads the version again: when it
starts, or when it is told of another version and finds times that changed. That fails then, and
takes the other version with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from serve.bundle import REMEDY
from serve.errors import BundleError
from serve.triton.names import MODEL
from serve.versions.content import check_files
from serve.versions.folders import STAGING, version_folder
from serve.versions.plans import plan_of

_ASIDE = f"{STAGING}aside-"


def check_again(folder: Path, public_key: Path | None, remedy: str) -> None:
    """Check that a version's files are still as its manifest says, before more depends on them.

    Raises:
        BundleError: Naming the version, the first file that is not, and the remedy.
    """
    try:
        check_files(folder, public_key)
        plan_of(folder)
    except BundleError as error:
        raise BundleError(
            f"{folder}: expected a sound version, got {str(error).removesuffix(f'; {REMEDY}')}; "
            f"{remedy}"
        ) from error


@contextlib.contextmanager
def set_aside(repository: Path, versions: Iterable[int]) -> Iterator[None]:
    """Keep damaged versions out of servers' sight while they load what is to replace them.

    A server serves on what it has until then. Should this process die meanwhile they are gone, and
    nothing sound with them.

    Raises:
        OSError: If the repository cannot be written.
    """
    with contextlib.ExitStack() as back:
        for version in versions:
            folder = version_folder(repository, version)
            try:
                check_files(folder)
            except BundleError:
                hidden = repository / MODEL / f"{_ASIDE}{version}"
                folder.rename(hidden)
                back.callback(hidden.rename, folder)
        yield


def aside(repository: Path) -> list[int]:
    """Return the versions that are set aside; servers have them, and callers may ask for them."""
    names = [path.name.removeprefix(_ASIDE) for path in (repository / MODEL).glob(f"{_ASIDE}*")]
    return [int(name) for name in names if name.isdecimal()]
