"""The way back into a checkpoint: its weights are all that its model has, and no others."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve.errors import CheckpointError
from tests.conftest import tiny_vocabulary
from train.__main__ import main
from train.explanation.explain import Explainer
from train.trained.model import load_trained


def with_weights(
    checkpoint: Path, folder: Path, *names: str, without: str = "", **changed: torch.Tensor
) -> Path:
    """Return a copy of a checkpoint with further or other weights, or without one."""
    copy = shutil.copytree(checkpoint, folder / "copy")
    path = copy / "model.safetensors"
    weights = load_file(path) | {name: torch.ones(3, 3) for name in names} | changed
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
    "setting", [{"return_dict": False}, {"chunk_size_feed_forward": 4}, {"output_attentions": True}]
)
def test_a_setting_of_how_not_what_is_computed_changes_nothing(
    tiny_checkpoint: Path, tmp_path: Path, setting: dict[str, object]
) -> None:
    folder = with_weights(tiny_checkpoint, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | setting))
    plain, other = (load_trained(path).tagger() for path in (tiny_checkpoint, folder))
    assert other.tag(["replace oil pump"]) == plain.tag(["replace oil pump"])


def test_weights_that_are_not_finite_are_no_low_score(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "classifier.bias"
    old = load_file(tiny_checkpoint / "model.safetensors")[name]
    folder = with_weights(tiny_checkpoint, tmp_path, **{name: old * torch.nan})
    assert main(["evaluate", str(folder), "--data", str(tiny_data / "test.jsonl")]) == 1
    error = capsys.readouterr().err
    assert (
        f"model.safetensors: expected finite weights, got 7 of 7 that are NaN or infinite in {name}"
        in error
    )


def test_a_tokenizer_may_be_a_vocabulary_for_whoever_asks(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = with_weights(tiny_checkpoint, tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(tiny_vocabulary()) + "\n")
    text = "Replace OIL pump"
    plain, other = (Explainer(load_trained(path)) for path in (tiny_checkpoint, folder))
    assert other.explain(text) == plain.explain(text)


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
