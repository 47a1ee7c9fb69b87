"""Tests that a step killed at any moment leaves what was before, or what was to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STEPS = ("publish", "publish to all", "promote", "rollback", "rollback of a trial")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_killed_at_any_mark_is_undone_or_finished(step: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.serve.versions.killing", tmp_path, step]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > (5 if step == "promote" else 20), "otherwise this shows little"
