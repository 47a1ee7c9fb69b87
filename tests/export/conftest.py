"""Keeps the tests of `python -m export` short: each model is exported once, and barely timed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

import export.pipeline
import export.reports.latency
from export.__main__ import main
from export.checkpoint import Checkpoint, load_checkpoint
from export.fusion.fuse import fuse
from serve.bundle import Bundle
from tests.exported import exported


@pytest.fixture(autouse=True, scope="session")
def _short() -> Iterator[None]:
    """Leave the report time for its first shape only; nothing else of the pipeline is replaced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export.reports.latency, "BUDGET_S", 0.0)
        patch.setattr(export.pipeline, "export_graph", exported)
        yield


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return load_checkpoint(tiny_checkpoint)


@pytest.fixture(scope="module")
def fused(checkpoint: Checkpoint) -> onnx.ModelProto:
    return fuse(exported(checkpoint), checkpoint.shape)


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("export") / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(folder), "--fp16", "--int8"]
    assert main(arguments) == 0
    return Bundle.load(folder)
