"""Owns the check of a bundle's folder: the files the manifest names, whole, and nothing beside.

A link is refused even where it leads to the right bytes: what it leads to can change while the
bundle stays as it is. Nothing but plain files is opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from export.verification.finding import Check, Finding
from serve.bundle import MANIFEST, REMEDY, Manifest
from serve.signature import SIGNATURE


def file_findings(folder: Path, manifest: Manifest) -> dict[str, Finding]:
    """Return what is wrong with each file the manifest names, by its name there."""
    findings = {}
    for name, digest in _digests(manifest).items():
        path = folder / name
        if not is_inside(name):
            findings[name] = _finding(folder / MANIFEST, f"names of files in it, got {name!r}")
        elif problem := _problem(path, digest):
            findings[name] = _finding(path, problem)
    for graph in manifest.graphs:
        path = folder / graph.file
        if graph.file not in findings and (size := path.stat().st_size) != graph.size_bytes:
            findings[graph.file] = _finding(path, f"{graph.size_bytes} bytes, got {size}")
    return findings


def strangers(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield a finding for each thing in a folder, links left out, that the manifest does not name.

    Raises:
        OSError: If a folder cannot be listed.
    """
    named = {MANIFEST, SIGNATURE, *_digests(manifest)}
    folders = {str(parent) for name in named for parent in PurePosixPath(name).parents}
    for path in sorted(_entries(folder)):
        known = folders if path.is_dir() else named
        if not path.is_symlink() and path.relative_to(folder).as_posix() not in known:
            problem = "only what the manifest names in a bundle, got one thing more"
            yield _finding(path, problem, "remove it")


def links(folder: Path) -> Iterator[Finding]:
    """Yield a finding for each link in a folder.

    Raises:
        OSError: If a folder cannot be listed.
    """
    for path in sorted(_entries(folder)):
        if path.is_symlink():
            yield _finding(path, "no link in a bundle, got one", "put the file itself there")


def is_inside(name: str) -> bool:
    """Return whether a name is that of a file below the folder it stands for, in its plain form."""
    path = PurePosixPath(name)
    plain = bool(path.parts) and str(path) == name and "\0" not in name
    return plain and not path.is_absolute() and ".." not in path.parts


def is_plain(path: Path) -> bool:
    """Return whether a path leads to a plain file: no folder, device or pipe.

    Raises:
        OSError: If it leads nowhere.
    """
    return stat.S_ISREG(path.stat().st_mode)


def _digests(manifest: Manifest) -> dict[str, str]:
    return {**manifest.files, **{graph.file: graph.sha256 for graph in manifest.graphs}}


def _problem(path: Path, digest: str) -> str | None:
    try:
        if not is_plain(path):
            return "a plain file, got something else"
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"a readable file, got {error.strerror}"
    return None if actual == digest else f"SHA-256 {digest}, got {actual}"


def _entries(folder: Path) -> Iterator[Path]:
    for current, folders, files in os.walk(folder, onerror=_fail):
        yield from (Path(current) / name for name in (*folders, *files))


def _fail(error: OSError) -> None:
    raise error


def _finding(path: Path, problem: str, remedy: str = REMEDY) -> Finding:
    return Finding(Check.FILES, f"{path}: expected {problem}; {remedy}")
