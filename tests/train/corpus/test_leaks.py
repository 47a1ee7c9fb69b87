"""Tests that lines of dev and test that train has too are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.examples import Example
from train.corpus.data import Split
from train.corpus.leaks import warn_of_leaks


def split(name: str, *texts: str) -> Split:
    places = tuple(f"{name}:{number}" for number in range(1, len(texts) + 1))
    return Split(Path(name), places, tuple(Example(text, ()) for text in texts))


def test_lines_that_train_has_up_to_case_and_blanks_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    train = split("train.jsonl", "Fix  pump", "belt worn", "", " ")
    dev = split("dev.jsonl", "fix pump", "FIX PUMP ", "belt", "")
    test = split("test.jsonl", "belt is worn", " ")
    warn_of_leaks(train, [dev, test])
    assert [record.getMessage() for record in caplog.records] == [
        "warning: dev.jsonl: 2 of 4 lines stand in train.jsonl too, which makes figures look "
        "better; python -m train check names them"
    ]
