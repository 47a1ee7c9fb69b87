"""The tiny checkpoint's graph, in the two forms that reduced precision starts from."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from export.checkpoint import Checkpoint, load_checkpoint
from export.fusion.cpu import for_cpu
from export.optimize import fuse
from tests.exported import exported


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def fused(checkpoint: Checkpoint) -> onnx.ModelProto:
    return fuse(exported(checkpoint), checkpoint.shape)


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint, fused: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph in the operators that CPUs run fastest."""
    return for_cpu(fused, checkpoint.shape)
