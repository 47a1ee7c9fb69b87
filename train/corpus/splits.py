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


def parts_of(path: Path, alone: str) -> dict[str, Path]:
    """Return the files of a path, by name of their part of a corpus.

    A folder with train, dev or test in it is taken by those. A file is one part, and so is brat's
    folder, be its documents in it or in folders below.

    Args:
        path: A folder or file.
        alone: Name of a file or brat's folder that is one part.

    Raises:
        DataError: If a folder has no train file and is not brat's, or several for one split.
    """
    if not path.is_dir() or next(path.glob("*.ann"), None):
        return {alone: path}
    remedy = "name the files instead of the folder"
    found = {split: _find(path, split, remedy) for split in _STEMS}
    if not any(found.values()) and _holds_lines(path):
        return {alone: path}
    if not found["train"]:
        raise _no_train(path, remedy)
    return {split: file for split, file in found.items() if file}


def find_splits(config: TrainConfig) -> SplitFiles:
    """Return the splits' files: those named in the settings first, the folder's else.

    Raises:
        DataError: If the folder is none, has no train file, or several that could be one split.
    """
    folder = config.data or (None if config.train else SAMPLE)
    train = config.train or (folder and _find(folder, "train", "name it with --train"))
    if train is None:
        raise _no_train(folder, "name the file with --train")
    dev = config.dev or (folder and _find(folder, "dev", "name it with --dev"))
    test = config.test or (folder and _find(folder, "test", "name it with --test"))
    return SplitFiles(train, dev or None, test or None)


def _no_train(folder: Path | None, remedy: str) -> DataError:
    stems = ", ".join(f"train{suffix}" for suffix in sorted(SUFFIXES))
    return DataError(
        f"{folder}: expected one of {stems}, or a folder train with .ann files, got none; {remedy}"
    )


def _find(folder: Path, split: str, remedy: str) -> Path | None:
    if not folder.is_dir():
        got = "a file; name it with --train" if folder.is_file() else "none"
        raise DataError(f"{folder}: expected a folder with train, dev and test files, got {got}")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.stem.lower() in _STEMS[split] and _holds_lines(path)
    )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: expected one {split} file, got {names}; {remedy}")
    return found[0] if found else None


def _holds_lines(path: Path) -> bool:
    if path.is_dir():
        return next(path.rglob("*.ann"), None) is not None
    return path.suffix.lower() in SUFFIXES
