"""What the tests on a CUDA GPU share: a bundle whose gate ran there.

They run with --gpu, in a process of their own, and are skipped elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.__main__ import main as export_main
from serve.bundle import Bundle, Provider
from serve.session import default_provider


@pytest.fixture(scope="session", autouse=True)
def _cuda(pytestconfig: pytest.Config) -> None:
    """Skip without --gpu, and fail with it where PyTorch or ONNX Runtime has no GPU."""
    if not pytestconfig.getoption("--gpu"):
        pytest.skip("a GPU is hidden from tests without --gpu")
    if not torch.cuda.is_available() or default_provider() is not Provider.CUDA:
        pytest.fail("expected a CUDA GPU for PyTorch and ONNX Runtime, got none")


@pytest.fixture(scope="session")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a bundle of the tiny checkpoint with every graph a GPU runs."""
    folder = tmp_path_factory.mktemp("gpu") / "bundle"
    arguments = ["--model", str(tiny_checkpoint), "--output", str(folder), "--fp16", "--packed"]
    assert export_main(arguments) == 0
    return Bundle.load(folder)
