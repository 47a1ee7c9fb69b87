"""Tests that dev and test lines are told that a tagger knows which another one comes from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from serve.examples import fold, read_jsonl, write_jsonl
from train.__main__ import main
from train.config import TrainConfig
from train.corpus.data import read_corpus
from train.trained.lines import warn_of_known_lines


@pytest.fixture
def knowing(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> Path:
    """Return a tagger that was trained on the first three test lines."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "knowing"))
    write_jsonl(folder / "train.jsonl", read_jsonl(tiny_data / "test.jsonl")[:3])
    return folder


@pytest.mark.parametrize("role", ["--model", "--teachers"])
def test_test_lines_that_a_base_or_a_teacher_knows_are_told(
    knowing: Path,
    tiny_base: Path,
    tiny_data: Path,
    tmp_path: Path,
    role: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    command = ["distil", "--model", str(tiny_base)] if role == "--teachers" else []
    arguments = ["--data", str(tiny_data), "--epochs", "1", "--output", str(tmp_path / "out")]
    assert main([*command, role, str(knowing), *arguments]) == 0
    told = next(text for text in caplog.messages if f"stand in {knowing / 'train.jsonl'}" in text)
    texts = [fold(line.text) for line in read_jsonl(tiny_data / "test.jsonl")]
    num = sum(text in texts[:3] for text in texts)
    assert told.startswith(f"warning: {tiny_data / 'test.jsonl'}: {num} of {len(texts)} lines ")


def test_lines_that_cannot_be_read_are_told_and_stop_nobody(
    knowing: Path, tiny_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (knowing / "train.jsonl").write_text("none\n{")
    caplog.clear()
    warn_of_known_lines(knowing, read_corpus(TrainConfig(data=tiny_data)))
    assert "not compared with dev and test: " in caplog.messages[-1]
