"""Training on a CUDA GPU: it learns, says where it ran, and its checkpoint is anybody's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.__main__ import main as export_main
from serve.bundle import Provider
from serve.tagger import Tagger
from train.__main__ import main

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("arithmetic", ["auto", "fp32", "fp16", "bf16"])
def test_a_tagger_is_trained_there_and_runs_on_the_cpu(
    tiny_base: Path, tiny_data: Path, tmp_path: Path, arithmetic: str
) -> None:
    checkpoint, bundle = tmp_path / "checkpoint", tmp_path / "bundle"
    arguments = ["--model", str(tiny_base), "--data", str(tiny_data), "--output", str(checkpoint)]
    settings = ["--epochs", "20", "--learning-rate", "3e-3", "--arithmetic", arithmetic]
    assert main([*arguments, *settings]) == 0
    evaluation = json.loads((checkpoint / "evaluation.json").read_text())
    assert json.loads((checkpoint / "train.json").read_text())["cost"]["device"] == "cuda"
    assert evaluation["test"]["entities"]["micro"]["f1"] > 0.9
    assert export_main(["--model", str(checkpoint), "--output", str(bundle)]) == 0
    tagger = Tagger.load(bundle, provider=Provider.CPU)
    assert [e.label for e in tagger.tag(["replace oil pump"])[0]] == ["Activity", "Item"]
