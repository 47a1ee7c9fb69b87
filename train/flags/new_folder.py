"""Owns the check before a folder is written: that nothing of somebody else is in its place."""

from __future__ import annotations

from pathlib import Path

from serve.errors import DataError
from serve.places import check_place


def check_new(folder: Path) -> None:
    """Refuse to write where something is.

    Raises:
        DataError: If there is a file, or a folder with something in it, or no folder can be put
            there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder}: expected a new or empty folder, got something there; choose another"
        )
    check_place(folder, DataError)
