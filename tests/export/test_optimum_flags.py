"""The flags optimum-cli has too: what they mean here, and the sentence that refuses the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

import export.judge
from export.__main__ import main, parse_args
from export.config import FP32_ATOL, Device
from serve.bundle import Bundle, Precision, Provider


def test_what_always_holds_may_be_said() -> None:
    plain = parse_args([])
    assert parse_args(["--opset", "17", "--optimize", "O2", "--dtype", "fp32"]) == plain
    assert plain.atol == FP32_ATOL


def test_dtype_fp16_is_fp16() -> None:
    assert parse_args(["--dtype", "fp16"]) == parse_args(["--fp16"])


def test_device_is_a_provider() -> None:
    assert parse_args([]).device is None
    assert parse_args(["--fp16", "--device", "cuda"]).device is Device.CUDA
    assert parse_args(["--device", "cpu"]).device is Device.CPU


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opset", "18"], "argument --opset: expected 17, which every fusion"),
        (["--optimize", "O1"], "argument --optimize: expected O2, all fusions"),
        (["--optimize", "O3"], "got O3"),
        (["--dtype", "bf16"], "argument --dtype: expected fp32 or fp16, got bf16; INT8 is --int8"),
        (["--fp16", "--dtype", "fp32"], "--dtype: not allowed with argument --fp16"),
        (["--device", "tpu"], "argument --device: expected cpu or cuda, got tpu"),
        (["--device", "cuda"], "--device cuda needs --fp16"),
        (["--atol", "0"], "argument --atol: expected a difference above 0, got 0"),
        (["--atol", "nan"], "argument --atol: expected a difference above 0, got nan"),
        (["--atol", "abc"], "argument --atol: expected a difference above 0, got abc"),
        (["--trust-remote-code"], "unrecognized arguments: --trust-remote-code"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_reason(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_args(arguments)
    assert message in capsys.readouterr().err


def test_atol_and_device_reach_the_export(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(output)]
    assert main([*arguments, "--atol", "1e-12"]) == 1
    assert "expected logits within 1e-12 of PyTorch's" in capsys.readouterr().err
    assert not output.exists()
    assert main([*arguments, "--dtype", "fp16", "--device", "cpu"]) == 0
    graph = Bundle.load(output).graph(Precision.FP16)
    assert graph.measured_on == "CPUExecutionProvider, and with every number rounded to FP16"


def test_cuda_without_a_gpu_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export.judge, "default_provider", lambda: Provider.CPU)
    output = tmp_path / "bundle"
    arguments = ["--model", str(tmp_path / "none"), "--output", str(output), "--fp16"]
    assert main([*arguments, "--device", "cuda"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: --device cuda: expected CUDAExecutionProvider and a GPU, got ")
    assert "onnxruntime-gpu" in error
    assert error.count("\n") == 1
    assert not output.exists()
