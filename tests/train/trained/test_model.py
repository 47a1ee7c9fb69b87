"""The way back into a checkpoint: its weights are all that its model has, and no others."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve.errors import CheckpointError
from train.__main__ import main
from train.trained.model import load_trained


def with_weights(checkpoint: Path, folder: Path, *names: str, without: str = "") -> Path:
    """Return a copy of a checkpoint with further weights, or without one."""
    copy = shutil.copytree(checkpoint, folder / "copy")
    path = copy / "model.safetensors"
    weights = load_file(path) | {name: torch.ones(3, 3) for name in names}
    weights.pop(without, None)
    save_file(weights, path, metadata={"format": "pt"})
    return copy


@pytest.mark.parametrize(
    "name", ["crf.transitions", "bert.encoder.layer.0.attention.self.query.lora_A.default.weight"]
)
def test_a_weight_that_nothing_would_read_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    folder = with_weights(tiny_checkpoint, tmp_path, "cls.predictions.bias", name)
    expected = (
        rf"model\.safetensors: expected no weights but those of a bert .* 1 more, first {name};"
    )
    with pytest.raises(CheckpointError, match=expected):
        load_trained(folder)


def test_a_weight_that_lacks_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = with_weights(tiny_checkpoint, tmp_path, without="classifier.bias")
    with pytest.raises(CheckpointError, match=r"got 1 missing .* first classifier\.bias; train it"):
        load_trained(folder)


def test_heads_of_pretraining_may_be_there(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = with_weights(tiny_checkpoint, tmp_path, "bert.pooler.dense.weight")
    assert load_trained(folder).tags == load_trained(tiny_checkpoint).tags


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "CHECKPOINT", "--data", "DATA"],
        ["explain", "CHECKPOINT", "DATA"],
        ["select", "CHECKPOINT", "--pool", "RAW", "--output", "OUT"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_whoever_asks_a_checkpoint_is_told_of_weights_that_nothing_reads(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:  # fmt: skip
    folder = with_weights(tiny_checkpoint, tmp_path, "crf.transitions")
    (raw := tmp_path / "raw.txt").write_text("replace pump\n")
    paths = {"CHECKPOINT": folder, "DATA": tiny_data / "dev.jsonl", "OUT": tmp_path / "out"}
    paths["RAW"] = raw
    assert main([str(paths.get(part, part)) for part in arguments]) == 1
    assert "got 1 more, first crf.transitions; nothing would read" in capsys.readouterr().err
