"""What loads ONNX Runtime has it neither look for Microsoft's servers nor keep a number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def left_at_home(home: Path, module: str, **more: str) -> list[str]:
    """Return the files that an import leaves in its user's home; CI's variables silence it too."""
    home.mkdir()
    quiet = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **more}
    subprocess.run([sys.executable, "-B", "-c", f"import {module}"], env=quiet, check=True)
    return sorted(path.name for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "module", ["serve.session", "export.precision.fp16", "benchmarks.grid.products"]
)
def test_an_import_leaves_nothing_at_home(tmp_path: Path, module: str) -> None:
    assert left_at_home(tmp_path / "home", module) == []


def test_onnx_runtime_alone_would(tmp_path: Path) -> None:
    assert "deviceid" in left_at_home(tmp_path / "home", "onnxruntime")


def test_a_user_may_want_it_so(tmp_path: Path) -> None:
    wanted = left_at_home(tmp_path / "home", "serve.session", ORT_DISABLE_TELEMETRY="0")
    assert "deviceid" in wanted
