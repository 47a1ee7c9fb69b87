"""Which checkpoints export takes, and which it refuses, each in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
)

import export.checkpoint
import export.pipeline
import export.precision.choose_fp16
import export.precision.choose_int8
from export.__main__ import main
from export.checkpoint import load_checkpoint
from export.reports.latency import Latencies, measure_latency
from serve.errors import CheckpointError
from tests.conftest import tiny_vocabulary
from tests.families import write_base


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "model.safetensors", "decoding.json", "dev.jsonl"]
)
def test_a_checkpoint_that_changes_while_it_is_exported_is_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """As if training ended just then and put another checkpoint in its place."""
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)

    def measured_late(*arguments: Any) -> Latencies:
        with (folder / name).open("ab") as file:
            file.write(b" ")
        return measure_latency(*arguments)

    monkeypatch.setattr(export.pipeline, "measure_latency", measured_late)
    assert main(["--model", str(folder), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {folder / name}: expected SHA-256 ")
    assert error.endswith("it was changed while it was exported; export again\n")
    assert not output.exists()


def test_weights_in_parts_are_a_checkpoint_too(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As transformers saves them beyond a size."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    whole = load_checkpoint(tiny_checkpoint)
    (folder / "model.safetensors").unlink()
    whole.model.save_pretrained(folder, max_shard_size="20KB")
    last = sorted(folder.glob("model-*.safetensors"))[-1]
    assert last.name != "model-00001-of-00001.safetensors"
    parts = load_checkpoint(folder)
    weights = whole.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in parts.model.state_dict().items())
    parts.snapshot.check_unchanged()
    save_file(load_file(last), last, metadata={"format": "pt", "of": "another training"})
    with pytest.raises(CheckpointError, match="it was changed while it was exported"):
        parts.snapshot.check_unchanged()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: expected a JSON object"),
        ("config.json", "[]", "config.json: expected a JSON object, got a list"),
        ("config.json", "[" * 200_000, "config.json: expected a JSON object"),
        ("tokenizer.json", "", "tokenizer.json: expected the model's tokenizer"),
        ("tokenizer.json", '{"model": 1}', "tokenizer.json: expected the model's tokenizer"),
        ("config.json", '{"model_type": "bert", "auto_map": {}}', "expected no 'auto_map'"),
        ("config.json", '{"model_type": "gpt2"}', "distilbert, electra, roberta, xlm-roberta, got"),
        ("tokenizer_config.json", '{"auto_map": {}}', "tokenizer_config.json: expected no 'auto"),
        ("tokenizer_config.json", "{", "tokenizer_config.json: expected a JSON object"),
        ("config.json", '{"model_type": "bert"}', "expected id2label, got None"),
        (
            "config.json",
            '{"model_type": "bert", "id2label": {"0": "O", "1": "I-X"}}',
            "expected B-X beside I-X",
        ),
        ("decoding.json", '{"beam": 2}', "decoding.json: expected the keys temperature, constr"),
        ("decoding.json", "[" * 200_000, "decoding.json: "),
        ("model.safetensors", "not safetensors" * 999, "expected a model that loads"),
        ("model.safetensors", None, "model.safetensors: expected a file of the checkpoint"),
        ("dev.jsonl", None, "dev.jsonl: expected labelled lines for the gate"),
        ("dev.jsonl", "\n", "dev.jsonl: expected lines labelled with"),
        (
            "dev.jsonl",
            '{"text": "a", "spans": [{"start": 0, "end": 1, "label": "Colour"}]}',
            r"got ['Colour']",
        ),
        (
            "dev.jsonl",
            '{"text": "a", "spans": [{"start": 0, "end": 2, "label": "Item"}]}',
            "dev.jsonl:1: expected 0 <= start < end <= 1",
        ),
        ("dev.jsonl", '{"text": "zzz", "spans": []}', "expected dev lines with entities"),
    ],
)
def test_a_bad_checkpoint_is_refused_in_one_line(
    tiny_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    content: str | None,
    message: str,
) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_text(content)
    assert main(["--model", str(folder), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not output.exists()


def test_weights_that_do_not_fill_the_model_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    renamed = {name.replace("layer.1", "layer.9"): tensor for name, tensor in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected every weight of the model, got 16 missing" in error
    assert error.count("\n") == 1


def with_weights(checkpoint: Path, folder: Path, names: Sequence[str]) -> list[str]:
    """Return the arguments to export a checkpoint with further tensors."""
    shutil.copytree(checkpoint, folder / "checkpoint")
    path = folder / "checkpoint" / "model.safetensors"
    more = {name: torch.ones(7, 7) for name in names}
    save_file(load_file(path) | more, path, metadata={"format": "pt"})
    return ["--model", str(folder / "checkpoint"), "--output", str(folder / "bundle")]


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
        "bert.encoder.layer.0.attention.self.query.lora_A.default.weight",
        "bert.encoder.layer.2.output.dense.weight",
        "crf.transitions",
        "classifier.pooler.dense.weight",
    ],
)
def test_weights_that_the_graph_would_lack_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(with_weights(tiny_checkpoint, tmp_path, [name])) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected no weights but those of a bert token clas" in error
    assert f"got 1 more, first {name}; " in error
    assert error.count("\n") == 1


def test_weights_that_no_tag_depends_on_may_be_left_out(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    names = [
        "bert.pooler.dense.weight",
        "pooler.dense.bias",
        "bert.embeddings.position_ids",
        "cls.predictions.transform.dense.weight",
        "cls.seq_relationship.bias",
        "lm_head.layer_norm.weight",
        "vocab_projector.bias",
        "generator_lm_head.bias",
        "discriminator_predictions.dense.weight",
    ]
    assert main(with_weights(tiny_checkpoint, tmp_path, names)) == 0


def test_weights_that_are_not_finite_are_refused_though_no_dev_line_meets_them(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    weights[name][tiny_vocabulary()["z"]] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected finite weights, got 32 of " in error
    assert f"NaN or infinite in {name}; train it again" in error
    assert error.count("\n") == 1


def test_weights_beyond_one_onnx_file_are_refused(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export.checkpoint, "MAX_WEIGHT_BYTES", 50_000)
    assert main(["--model", str(tiny_checkpoint), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert "model.safetensors: expected at most 0.00 GB of weights in FP32" in error
    assert error.count("\n") == 1


def test_a_configuration_without_padding_gets_the_familys_own(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base", "roberta", ["replace oil pump"])
    names = dict(enumerate(("O", "B-Item", "I-Item")))
    model = AutoModelForTokenClassification.from_pretrained(folder, id2label=names)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    checkpoint = load_checkpoint(folder)
    assert checkpoint.encoder.pad_id == checkpoint.model.config.pad_token_id == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_lower_case": False}, "expected do_lower_case true, as tokenizer.json has it, got Fa"),
        ({"tokenize_chinese_chars": False, "do_lower_case": True}, "tokenize_chinese_chars true"),
        ({"do_lower_case": True, "strip_accents": None, "add_prefix_space": True}, None),
        ({"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"}, None),
    ],
)
def test_settings_that_contradict_the_tokenizer_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, settings: dict[str, Any], message: str | None
) -> None:
    """transformers goes by the settings: its tokens, and so its answers, would be others."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    settings = {"tokenizer_class": "BertTokenizer"} | settings
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    text = "Replace PUMP"
    if message is not None:
        with pytest.raises(CheckpointError, match=f"tokenizer_config.json: .*{message}"):
            load_checkpoint(folder)
        return
    (window,) = load_checkpoint(folder).encoder.encode([text])[0].windows
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == window.input_ids


@pytest.mark.parametrize(
    ("setting", "got"),
    [("is_decoder", "False, got True"), ("position_embedding_type", "'absolute', got 'relative_k")],
)
def test_what_the_graph_would_compute_otherwise_is_refused_by_its_setting(
    tiny_checkpoint: Path, tmp_path: Path, setting: str, got: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    config[setting] = True if setting == "is_decoder" else "relative_key"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"config.json: expected {setting} {got}"):
        load_checkpoint(folder)


def test_a_padding_that_is_no_token_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": -1}))
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert (
        f"config.json: expected pad_token_id from 0 to {config['vocab_size'] - 1}, got -1" in error
    )
    assert error.count("\n") == 1


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["zzzq"])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert main(["--model", str(folder), "--output", str(tmp_path / "bundle")]) == 1
    assert "tokenizer.json: expected the model's tokenizer, got token id" in capsys.readouterr().err
