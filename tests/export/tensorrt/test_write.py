"""`python -m export --tensorrt`: what it adds, that it is gated, and that nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

import export.tensorrt.write
from export.__main__ import main
from export.parity import ParityReport, Reference
from export.tensorrt.lint.command import lint
from export.tensorrt.write import check_ready
from serve.bundle import Bundle, sha256
from serve.errors import GraphError
from serve.triton.profiles import profiles_for, to_json


def damaged(model: onnx.ModelProto) -> onnx.ModelProto:
    (bias,) = [t for t in model.graph.initializer if t.name.endswith("classifier.bias")]
    values = numpy_helper.to_array(bias).copy()
    values[0] += 100  # the tag O wins everywhere
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    return model


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    output = tmp_path_factory.mktemp("tensorrt") / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output)]
    assert main([*arguments, "--tensorrt", "--int8"]) == 0
    return Bundle.load(output)


def test_graphs_profiles_script_and_settings_are_written(bundle: Bundle) -> None:
    folder = bundle.folder / "tensorrt"
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert names == [
        "build.sh",
        "gate.json",
        "model_fp16.onnx",
        "model_int8.onnx",
        "model_repository/tagger_tensorrt_fp16/config.pbtxt",
        "model_repository/tagger_tensorrt_int8/config.pbtxt",
        "profiles.json",
    ]
    assert [path.name for path in folder.glob("*.onnx") if lint(path)] == []
    gate = json.loads((folder / "gate.json").read_text())
    assert [record["precision"] for record in gate] == ["fp16", "int8"]
    assert all(record["f1_after"] > 0.9 for record in gate)


def test_the_manifest_vouches_for_each_of_them(bundle: Bundle) -> None:
    written = {name for name in bundle.manifest.files if name.startswith("tensorrt/")}
    assert len(written) == 7
    for name in written:
        assert sha256((bundle.folder / name).read_bytes()) == bundle.manifest.files[name]


def test_a_bundle_with_them_is_replaced_by_one_without(
    bundle: Bundle, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "bundle"
    bundle.folder.rename(copy)
    try:
        assert main(["--model", str(tiny_checkpoint), "--output", str(copy)]) == 0
        assert not (copy / "tensorrt").exists()
    finally:
        copy.rename(bundle.folder)


def test_a_sabotaged_graph_does_not_pass_the_gate(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = export.tensorrt.write.to_fp16

    monkeypatch.setattr(export.tensorrt.write, "to_fp16", lambda model: damaged(real(model)))
    output = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output), "--tensorrt"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "error: TensorRT fp16 graph: expected to lose at most 0.1 points" in error
    assert "or leave --tensorrt out" in error
    assert list(tmp_path.iterdir()) == []


def test_a_graph_the_lint_refuses_is_not_written(exported: onnx.ModelProto) -> None:
    profiles = to_json(profiles_for(64)).encode()
    files = {"model_fp16.onnx": exported.SerializeToString(), "profiles.json": profiles}
    with pytest.raises(GraphError, match=r"tensorrt/model_fp16.onnx: error .* got 3.4e\+38"):
        check_ready(files, ["model_fp16.onnx"])


def first_damaged() -> Callable[..., onnx.ModelProto]:
    real = export.tensorrt.write.to_int8
    made = []

    def quantize(*args: Any) -> onnx.ModelProto:
        made.append(real(*args))
        return damaged(made[0]) if len(made) == 1 else made[-1]

    return quantize


def test_the_first_calibration_that_passes_is_taken(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(export.tensorrt.write, "to_int8", first_damaged())
    output = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output)]
    assert main([*arguments, "--tensorrt", "--int8"]) == 0
    gate = json.loads((output / "tensorrt" / "gate.json").read_text())
    assert [record["method"] for record in gate] == ["cast", "percentile"]
    assert any("min-max: TensorRT int8 graph: expected to lose" in line for line in caplog.messages)


def test_the_record_has_the_worst_of_what_it_says_it_was_measured_on(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Reference.compare_torch_fp16

    def worse(reference: Reference) -> ParityReport:
        return replace(real(reference), max_abs_diff=7.0, tag_agreement=0.5)

    monkeypatch.setattr(Reference, "compare_torch_fp16", worse)
    output = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output)]
    assert main([*arguments, "--tensorrt", "--int8"]) == 0
    fp16, int8 = json.loads((output / "tensorrt" / "gate.json").read_text())
    assert fp16["measured_on"].endswith("and PyTorch in FP16")
    assert (fp16["max_abs_diff"], fp16["tag_agreement"]) == (7.0, 0.5)
    assert int8["max_abs_diff"] < 7.0
