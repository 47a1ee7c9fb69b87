"""Tests the frame of the soak tests: a large run is kept with its machine, a small one is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.soak.conftest import FORMAT, Soak


def test_a_large_run_is_kept_with_its_machine(tmp_path: Path) -> None:
    soak = Soak(large=True, results=tmp_path / "deep")
    assert soak.size(small=5, large=100) == 100
    soak.record("kill", num_lost=0, slowest_ms=[1.5, 2.0])
    (path,) = soak.results.iterdir()
    body = json.loads(path.read_text())
    assert (path.name, body["format"], body["name"]) == ("kill.json", FORMAT, "kill")
    assert body["figures"] == {"num_lost": 0, "slowest_ms": [1.5, 2.0]}
    assert body["machine"]["num_cores"] >= 1


def test_a_small_run_leaves_nothing(tmp_path: Path) -> None:
    soak = Soak(large=False, results=tmp_path / "deep")
    assert soak.size(small=5, large=100) == 5
    soak.record("kill", num_lost=0)
    assert not soak.results.exists()


def test_the_option_decides(soak: Soak, pytestconfig: pytest.Config) -> None:
    assert soak.large is pytestconfig.getoption("large")
