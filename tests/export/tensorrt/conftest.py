"""Builds, once, what the tests of the TensorRT line share: the tiny checkpoint's graphs."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from export.checkpoint import Checkpoint, load_checkpoint
from export.precision.calibration import Range, activation_ranges, calibration_batches
from export.tensorrt.fp16 import to_fp16
from export.tensorrt.int8 import quantized_inputs, to_int8
from export.tensorrt.rewrite import for_tensorrt
from serve.examples import read_jsonl
from serve.triton.profiles import PROFILES, profiles_for, to_json
from tests.exported import exported as exported_once


@pytest.fixture(scope="session")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="session")
def exported(checkpoint: Checkpoint) -> onnx.ModelProto:
    return exported_once(checkpoint)


@pytest.fixture(scope="session")
def plain(exported: onnx.ModelProto) -> onnx.ModelProto:
    return for_tensorrt(exported)


@pytest.fixture(scope="session")
def ranges(plain: onnx.ModelProto, checkpoint: Checkpoint) -> dict[str, Range]:
    texts = [example.text for example in read_jsonl(checkpoint.folder / "dev.jsonl")]
    batches = calibration_batches(checkpoint.encoder, texts)
    return activation_ranges(plain, quantized_inputs(plain), batches)


@pytest.fixture(scope="session")
def fp16(plain: onnx.ModelProto) -> onnx.ModelProto:
    return to_fp16(plain)


@pytest.fixture(scope="session")
def int8(fp16: onnx.ModelProto, ranges: dict[str, Range]) -> onnx.ModelProto:
    return to_int8(fp16, ranges)


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    """Return a folder with the profiles that a graph of the tiny checkpoint needs."""
    profiles = profiles_for(checkpoint.encoder.max_tokens)
    (tmp_path / PROFILES).write_text(to_json(profiles))
    return tmp_path
