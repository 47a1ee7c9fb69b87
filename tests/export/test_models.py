"""Models unlike MiniLM: other families, activations and settings, and what overflows in FP16."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForTokenClassification,
    DistilBertConfig,
    ElectraConfig,
    PretrainedConfig,
)

import export.checkpoint
import export.pipeline
import export.precision.choose_fp16
import export.precision.choose_int8
from export.__main__ import main
from export.checkpoint import TorchBackend, load_checkpoint
from serve.bundle import Bundle, Precision
from tests.exported import report_of


def overflowing(checkpoint: Path, folder: Path) -> Path:
    """Write a checkpoint whose first layer norm gives values beyond 65504."""
    shutil.copytree(checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    layer = "bert.encoder.layer.0"
    weights[f"{layer}.attention.output.LayerNorm.weight"] *= 1e5
    weights[f"{layer}.attention.output.LayerNorm.bias"] *= 1e5
    weights[f"{layer}.intermediate.dense.weight"] *= 1e-5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_nodes_that_overflow_in_fp16_stay_in_fp32(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder, output = overflowing(tiny_checkpoint, tmp_path / "checkpoint"), tmp_path / "bundle"
    assert main(["--model", str(folder), "--output", str(output), "--fp16"]) == 0
    found = report_of(output, "model_fp16.onnx")
    reasons = found["fp32_node_reasons"]
    assert list(reasons) == found["fp32_nodes"]
    assert len(reasons) == 3  # the layer norm and the two that read it
    assert all("overflow" in reason for reason in reasons.values())
    graph = onnx.load(output / "model_fp16.onnx").graph
    floats = {tensor.name for tensor in graph.initializer if tensor.data_type == tensor.FLOAT}
    assert any(name.endswith("layer.0.attention.output.LayerNorm.weight") for name in floats)
    assert not any("layer.1" in name for name in floats)


def test_a_model_that_overflows_in_fp16_is_refused_without_a_gpu_too(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(export.precision.choose_fp16, "nodes_beyond", lambda *_: {})
    folder, output = overflowing(tiny_checkpoint, tmp_path / "checkpoint"), tmp_path / "bundle"
    arguments = ["--model", str(folder), "--output", str(output), "--fp16"]
    assert main([*arguments, "--allow-f1-loss", "100", "--allow-label-f1-loss", "100"]) == 1
    assert "fp16 graph: expected finite logits" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("family", ["distilbert", "electra"])
def test_other_families_are_fused_whole(tiny_checkpoint: Path, tmp_path: Path, family: str) -> None:
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    names = load_checkpoint(tiny_checkpoint).tags.names
    model = AutoModelForTokenClassification.from_config(family_config(family, names))
    with torch.no_grad():  # untrained: let the head find something, that the gate can close
        model.classifier.bias.copy_(torch.tensor([0.0] * 5 + [9.0] + [0.0] * (len(names) - 6)))
    model.save_pretrained(folder)
    spans = [{"start": 0, "end": 4, "label": names[5][2:]}]
    (folder / "dev.jsonl").write_text(json.dumps({"text": "pump", "spans": spans}) + "\n")
    assert main(["--model", str(folder), "--output", str(output), "--fp16", "--int8"]) == 0
    for graph in Bundle.load(output).manifest.graphs:
        attention = {"Attention", "QAttention"} & graph.operators.keys()
        assert [graph.operators[name] for name in attention] == [2]


@pytest.mark.parametrize(("activation", "fused"), [("gelu_new", {"FastGelu": 2}), ("relu", {})])
def test_other_activations_are_exported_too(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], activation: str,
    fused: dict[str, int],
) -> None:  # fmt: skip
    folder, output = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": activation}))
    assert main(["--model", str(folder), "--output", str(output), "--int8", "--fp16"]) == 0
    others = {"Attention": 2, "SkipLayerNormalization": 4, "EmbedLayerNormalization": 1}
    assert Bundle.load(output).graph(Precision.FP16).operators == others | fused
    assert ("no GELU was fused" in capsys.readouterr().out) == (not fused)


def family_config(family: str, names: tuple[str, ...]) -> PretrainedConfig:
    """Return the configuration of a tiny model of another family."""
    tags = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    sizes = {"vocab_size": 200, "max_position_embeddings": 64, **tags}
    if family == "distilbert":
        return DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=64, **sizes)
    return ElectraConfig(
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        **sizes,
    )


@pytest.mark.parametrize(
    "setting", [{"return_dict": False}, {"chunk_size_feed_forward": 4}, {"output_attentions": True}]
)
def test_a_setting_of_how_not_what_pytorch_computes_changes_nothing(
    tiny_checkpoint: Path, tmp_path: Path, setting: dict[str, Any]
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | setting))
    plain, other = (load_checkpoint(path) for path in (tiny_checkpoint, folder))
    batch = plain.encoder.collate(plain.encoder.encode(["replace oil pump"])[0].windows)
    assert batch.input_ids.shape[1] % 4
    logits = [TorchBackend(checkpoint.model).logits(batch) for checkpoint in (plain, other)]
    assert np.array_equal(*logits)
