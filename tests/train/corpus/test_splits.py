from pathlib import Path

import pytest

from serve.errors import DataError
from train.config import SAMPLE, TrainConfig
from train.corpus.splits import find_splits


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).touch()
    return path


@pytest.mark.parametrize(
    "dev",
    ["dev.txt", "valid.conll", "val.bio", "validation.jsonl", "dev.json", "Dev.TXT"],
)
def test_splits_are_found_by_name(tmp_path: Path, dev: str) -> None:
    folder = folder_of(tmp_path, "train.jsonl", dev, "test.tsv", "train_3200.json", "README.md")
    files = find_splits(TrainConfig(data=folder))
    assert files == (folder / "train.jsonl", folder / dev, folder / "test.tsv")


def test_dev_and_test_may_be_missing(tmp_path: Path) -> None:
    files = find_splits(TrainConfig(data=folder_of(tmp_path, "train.txt")))
    assert files == (tmp_path / "train.txt", None, None)


def test_a_named_file_replaces_the_folders_and_settles_an_ambiguity(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "train.txt", "train.jsonl", "dev.txt")
    files = find_splits(TrainConfig(data=folder, train=Path("mine.txt")))
    assert files == (Path("mine.txt"), folder / "dev.txt", None)


def test_a_train_file_alone_brings_no_other_files_with_it() -> None:
    assert find_splits(TrainConfig(train=Path("a.txt"))) == (Path("a.txt"), None, None)


def test_the_sample_corpus_is_the_default() -> None:
    assert find_splits(TrainConfig()).train == SAMPLE / "train.jsonl"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.txt", "train.jsonl"], r"expected one train file, got train\.jsonl, train\.txt;"),
        (["train.txt", "dev.txt", "valid.txt"], r"one dev file, got dev\.txt, valid\.txt; .*--dev"),
        (["dev.txt"], r"expected one of train\.bio, .*, got none; name the file with --train"),
    ],
)
def test_a_folder_without_one_file_for_a_split_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        find_splits(TrainConfig(data=folder_of(tmp_path, *names)))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: expected a folder with train, dev and test files"):
        find_splits(TrainConfig(data=tmp_path / "none"))


def test_a_folder_of_brat_documents_may_be_a_split(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        (tmp_path / split).mkdir()
    (tmp_path / "train" / "a.ann").touch()
    (tmp_path / "dev" / "notes.txt").touch()  # not annotated
    files = find_splits(TrainConfig(data=folder_of(tmp_path, "test.json")))
    assert files == (tmp_path / "train", None, tmp_path / "test.json")


def test_a_file_in_place_of_a_folder_is_told_with_the_flag_that_takes_it(tmp_path: Path) -> None:
    file = tmp_path / "gold.json"
    file.touch()
    with pytest.raises(DataError, match=r"gold\.json: .* got a file; name it with --train"):
        find_splits(TrainConfig(data=file))
