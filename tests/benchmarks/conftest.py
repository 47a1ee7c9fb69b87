"""Makes what several benchmarks run: the tiny model's bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.__main__ import main as export_main


@pytest.fixture(scope="session")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of the tiny checkpoint, with an INT8 graph; nobody may change it."""
    folder = tmp_path_factory.mktemp("benchmarks") / "bundle"
    assert export_main(["--model", str(tiny_checkpoint), "--output", str(folder), "--int8"]) == 0
    return folder
