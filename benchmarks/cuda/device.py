"""Owns the GPU: whether there is one that both PyTorch and ONNX Runtime can use, and its facts."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime as ort
import torch

from serve.bundle import Provider
from serve.errors import GraphError

_DRIVER = Path("/proc/driver/nvidia/version")


def check_gpu() -> None:
    """Close on a machine without a GPU for both.

    Raises:
        GraphError: Saying which of the two lacks it.
    """
    lacking = []
    if not torch.cuda.is_available():
        lacking.append("PyTorch sees no GPU")
    if Provider.CUDA not in ort.get_available_providers():
        lacking.append("this build of ONNX Runtime has no CUDA")
    if lacking:
        raise GraphError(
            f"expected a CUDA GPU for PyTorch and ONNX Runtime, got {' and '.join(lacking)}; "
            "install onnxruntime-gpu on a machine with a GPU, or rehearse with --cpu"
        )


def describe_device() -> dict[str, str]:
    """Return the GPU's memory, capability and driver, and what drives it; empty without a GPU."""
    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
        "CUDA": str(torch.version.cuda),
        # Two builds may be installed, one over the other: this is the one that runs.
        "ONNX Runtime": str(ort.__version__),
    }


def _driver() -> str:
    text = _DRIVER.read_text() if _DRIVER.is_file() else ""
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found[0] if found else "unknown"
