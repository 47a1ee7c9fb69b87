"""Owns what of the versions lies on the disk.

    model_repository/
        history.jsonl            what was agreed, see `serve.versions.history`
        tagger/
            config.pbtxt         settings, and configs/ for the other world; see `serve.triton`
            public_key.pem       if there: whose signature each version needs
            4/                   a version: the bundle's files, and model.py for Triton to find
            kept/3/              a version to go back to; Triton takes only numbers for versions
            .staging-XXXXXX/     a folder in the making, or on its way out
        encoder/
            4/model.onnx         the graph of version 4 by itself; see `serve.versions.encoders`
            4/model.plan         its plan, if it has one; see `serve.versions.plans`

Triton serves every version it finds. A folder gets its number, or loses it, by one rename, when it
is complete and on the disk. A crash leaves a staging folder, which the next step removes.

Triton compares times to see what changed: a new file in a model's folder, or a later time on one,
and all its versions are loaded again. So a version holds a plain file where Python would put its
cache, and `kept` never looks touched.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from serve.files import sync, sync_below
from serve.triton.names import MODEL, PUBLIC_KEY

STAGING, KEPT = ".staging-", "kept"
MODEL_FILE, NO_CACHE = "model.py", "__pycache__"
_LONG_AGO = (0, 0)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
"""As Triton takes a version's name: 007 is none, and its numbers have 64 bits."""


def version_folder(repository: Path, version: int) -> Path:
    """Return where a version lies that is served."""
    return repository / MODEL / str(version)


def kept_folder(repository: Path, version: int) -> Path:
    """Return where a version lies that is kept."""
    return repository / MODEL / KEPT / str(version)


def pinned_key(model: Path) -> Path | None:
    """Return the key in a model's folder that signs each version, if one is pinned there."""
    key = model / PUBLIC_KEY
    return key if os.path.lexists(key) else None  # a dangling link is no permission


def versions_in(folder: Path) -> list[int]:
    """Return the versions in a model's folder, oldest first; links are none."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NUMBER.fullmatch(path.name)]
    return sorted(int(path.name) for path in found if path.is_dir() and not path.is_symlink())


def highest_number(folder: Path) -> int:
    """Return the highest number that a name in a folder is, whatever it names; 0 for none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if _NUMBER.fullmatch(name)), default=0)


@contextmanager
def staged(model: Path) -> Iterator[Path]:
    """Give a folder in the making, which is gone after the block unless it was renamed."""
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=model))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def put(staging: Path, target: Path) -> None:
    """Give a complete folder its name, once all of it is on the disk."""
    staging.chmod(0o755)  # mkdtemp's folders are private, and Triton may be another user
    sync_below(staging)
    staging.rename(target)
    sync(target.parent)


def show_changed(model: Path) -> None:
    """Let Triton see that a model's folder changed, though the clock went back since.

    Triton loads nothing unless the newest time below the folder is later than at its last load. The
    settings keep the time they are given here, folders get another with each rename. While the
    clock goes right nothing is done: the change itself is the newest.
    """
    with suppress(OSError):  # another user's: as it was
        newest_s = max(path.lstat().st_mtime for path in (model, *model.rglob("*")))
        if newest_s > time.time():
            os.utime(model / "config.pbtxt", (newest_s + 1, newest_s + 1))


def add_model_file(folder: Path, module: str) -> None:
    """Let Triton's Python backend find the model of a module of ours in a version."""
    (folder / MODEL_FILE).write_text(
        '"""The model as Triton looks for it, in each version; the code is serve\'s."""\n\n'
        f"from {module} import TritonPythonModel\n\n"
        '__all__ = ["TritonPythonModel"]\n'
    )
    (folder / NO_CACHE).touch()  # no folder: Python then keeps no cache here, see above


def keep(repository: Path, version: int) -> None:
    """Move a version to those that are kept."""
    target = kept_folder(repository, version)
    target.parent.mkdir(exist_ok=True)  # older repositories lack it, and copies may drop it
    remove(target)
    version_folder(repository, version).rename(target)
    for folder in (target.parent, repository / MODEL):
        sync(folder)
    age_kept(repository)


def age_kept(repository: Path) -> None:
    """Let `kept` look untouched; make it, where it is not there yet.

    Nothing is written where it does already: a server may serve what it cannot write.
    """
    kept = repository / MODEL / KEPT
    kept.mkdir(exist_ok=True)
    for path in (*sorted(kept.rglob("*"), reverse=True), kept):
        if path.lstat().st_mtime != _LONG_AGO[1]:
            os.utime(path, _LONG_AGO, follow_symlinks=False)


def remove(folder: Path) -> None:
    """Remove a version, of which no part is ever seen as one."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink()
        return
    model = folder.parent.parent if folder.parent.name == KEPT else folder.parent
    gone = model / f"{STAGING}gone-{folder.name}"  # no new folder: a full disk has no room for one
    folder.rename(gone)
    sync(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)


def clear(model: Path) -> None:
    """Remove what steps that died left in a model's folder, as far as it is ours to remove.

    What another user's step left is in nobody's way.
    """
    for leftover in model.glob(f"{STAGING}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink()


def write_missing(
    model: Path, texts: Mapping[str, str], is_outdated: Callable[[str], bool]
) -> None:
    """Write those of a model's settings that are missing or outdated, by path in its folder."""
    for name, text in texts.items():
        path = model / name
        if not path.exists() or is_outdated(path.read_text(errors="replace")):
            write_file(model, name, text.encode())


def write_file(model: Path, name: str, content: bytes) -> None:
    """Write a file in a model's folder, whole or not at all; a crash leaves a staging folder."""
    path = model / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(model) as staging:
        written = staging / path.name
        written.write_bytes(content)
        sync(written)
        written.replace(path)
        sync(path.parent)
