"""Owns what a rollback goes back to: the version beside the one on trial, or the last one kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from serve.errors import ServerError
from serve.triton.names import MODEL
from serve.versions.folders import kept_folder, version_folder
from serve.versions.traffic import Traffic


class Earlier(NamedTuple):
    """What a rollback goes back to.

    Attributes:
        folder: Where it lies.
        kept: What is kept then.
        remedy: What to do should it be damaged.
    """

    folder: Path
    kept: tuple[int, ...]
    remedy: str


def earlier(repository: Path, before: Traffic) -> Earlier:
    """Return what to go back to from what holds.

    Raises:
        ServerError: If there is nothing.
    """
    if before.canary:
        remedy = "put its files back, or promote the version on trial with python -m serve promote"
        return Earlier(version_folder(repository, before.stable), before.kept, remedy)
    there = [number for number in before.kept if kept_folder(repository, number).is_dir()]
    if not there:
        raise ServerError(
            f"{repository / MODEL}: expected a version to go back to, got none; "
            "publish a bundle with python -m serve publish"
        )
    first, *kept = there
    remedy = (
        f"remove the folder to go back to version {kept[0]} instead"
        if kept
        else "publish a bundle with python -m serve publish"
    )
    return Earlier(kept_folder(repository, first), tuple(kept), remedy)
