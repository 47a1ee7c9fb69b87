"""Tests that `python -m train --data` takes every format, from file to checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serve.examples import read_jsonl
from train.__main__ import main
from train.formats.registry import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_a_tagger_is_trained_on_lines_of_any_format(
    tiny_base: Path, tiny_data: Path, tmp_path: Path, name: str
) -> None:
    data, output = tmp_path / "data", tmp_path / "checkpoint"
    for split in ("train", "dev", "test"):
        source, target = tiny_data / f"{split}.jsonl", data / f"{split}{FORMATS[name].suffix}"
        assert main(["convert", str(source), str(target), "--to", name]) == 0
    arguments = ["--data", str(data), "--model", str(tiny_base), "--output", str(output)]
    assert main([*arguments, "--epochs", "1"]) == 0
    record = json.loads((output / "train.json").read_text())
    assert record["data"]["train"]["num_lines"] == 200
    assert len(record["data"]["train"]["sha256"]) == 64
    assert read_jsonl(output / "dev.jsonl") == read_jsonl(tiny_data / "dev.jsonl")
