"""Owns the check of a bundle's folder: the files the manifest names, whole, and nothing beside.

A link is refused even where it leads to the right bytes, see `serve.artefacts.parts`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from export.verification.finding import Check, Finding
from serve.artefacts.parts import MAX_GRAPH_BYTES, read_plain
from serve.artefacts.signature import SIGNATURE
from serve.bundle import MANIFEST, REMEDY, Manifest, sha256


def file_findings(folder: Path, manifest: Manifest) -> dict[str, Finding]:
    """Return what is wrong with each file the manifest names, by its name there."""
    findings = {}
    for name, digest in _digests(manifest).items():
        if problem := _problem(folder, name, digest):
            findings[name] = _finding(folder / name, problem)
    for graph in manifest.graphs:
        path = folder / graph.file
        if graph.file not in findings and (size := path.stat().st_size) != graph.size_bytes:
            findings[graph.file] = _finding(path, f"{graph.size_bytes} bytes, got {size}")
    return findings


def strangers(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield a finding for each thing in a folder that the manifest does not name.

    Raises:
        OSError: If a folder cannot be listed.
    """
    named = {MANIFEST, SIGNATURE, *_digests(manifest)}
    folders = {str(parent) for name in named for parent in PurePosixPath(name).parents}
    for path in sorted(_entries(folder)):
        known = folders if path.is_dir() and not path.is_symlink() else named
        if path.relative_to(folder).as_posix() not in known:
            problem = "only what the manifest names in a bundle, got one thing more"
            yield _finding(path, problem, "remove it")


def _digests(manifest: Manifest) -> dict[str, str]:
    return {**manifest.files, **{graph.file: graph.sha256 for graph in manifest.graphs}}


def _problem(folder: Path, name: str, digest: str) -> str | None:
    if any((folder / parent).is_symlink() for parent in PurePosixPath(name).parents[:-1]):
        return "a file in the bundle, got one behind a link"
    try:
        actual = sha256(read_plain(folder / name, max_bytes=MAX_GRAPH_BYTES))
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
