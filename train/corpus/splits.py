"""Owns where the splits lie: files (or brat's folders) found by name, or named by the user."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from serve.errors import DataError
from train.config import SAMPLE, TrainConfig
from train.formats.registry import COLUMN_SUFFIXES, JSON_SUFFIXES

SUFFIXES = COLUMN_SUFFIXES | JSON_SUFFIXES | {".txt"}
_STEMS = {
    "train": ("train",),
    "dev": ("dev", "valid", "val", "validation"),
    "test": ("test",),
}


class SplitFiles(NamedTuple):
    """The file of each split; None where there is none."""

    train: Path
    dev: Path | None
    test: Path | None


def find_splits(config: TrainConfig) -> SplitFiles:
    """Return the splits' files: those named in the settings first, the folder's else.

    Raises:
        DataError: If the folder is none, has no train file, or several that could be one split.
    """
    folder = config.data or (None if config.train else SAMPLE)
    train = config.train or (folder and _find(folder, "train"))
    if train is None:
        stems = ", ".join(f"train{suffix}" for suffix in sorted(SUFFIXES))
        raise DataError(
            f"{folder}: expected one of {stems}, or a folder train with .ann files, got none; "
            "name the file with --train"
        )
    dev = config.dev or (folder and _find(folder, "dev"))
    test = config.test or (folder and _find(folder, "test"))
    return SplitFiles(train, dev or None, test or None)


def _find(folder: Path, split: str) -> Path | None:
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with train, dev and test files, got none")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.stem.lower() in _STEMS[split] and _holds_lines(path)
    )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: expected one {split} file, got {names}; name it with --{split}")
    return found[0] if found else None


def _holds_lines(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("*.ann"), None) is not None
    return path.suffix.lower() in SUFFIXES
