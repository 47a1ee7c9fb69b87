"""Owns the check before a folder is written: that nothing of somebody else is in its place."""

from __future__ import annotations

from pathlib import Path

from serve.errors import DataError


def check_new(folder: Path) -> None:
    """Refuse to write where something is.

    Raises:
        DataError: If there is a file, or a folder with something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            f"{folder}: expected a new or empty folder, got something there; choose another"
        )
