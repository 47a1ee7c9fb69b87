"""The tiny checkpoint's graph as INT8 starts from it."""

from __future__ import annotations

import onnx
import pytest

from export.checkpoint import Checkpoint
from export.fusion.cpu import for_cpu


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint, fused: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph in the operators that CPUs run fastest."""
    return for_cpu(fused, checkpoint.shape)
