"""Tests starting a supervisor that outlives the command that starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.supervisor.detached import OUTPUT, start_detached


def test_an_output_that_cannot_be_written_is_named_not_the_program(tmp_path: Path) -> None:
    (tmp_path / OUTPUT).mkdir()
    with pytest.raises(IsADirectoryError, match=r"start\.out"):
        start_detached(["--help"], tmp_path)
